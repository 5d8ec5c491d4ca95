// The fusion unit and its functional model, relative to this file.
bit_brick.sv
fusion_unit.sv
fusion_unit_functional.sv
