"""Programs for the BitFusion accelerator (``rtl/bitfusion``): instruction set, instruction-level model, compiler."""
