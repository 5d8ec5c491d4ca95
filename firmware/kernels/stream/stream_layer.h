// First and last thing of a layer on the streaming engine.
#ifndef MICO_STREAM_LAYER_H
#define MICO_STREAM_LAYER_H

#include "mico_stream.h"

#define STREAM_LANES 4u // lanes that these kernels can name

// The engine sees what the core has stored. Answers the lanes to use.
static inline uint32_t stream_begin(void) {
    uint32_t lanes = mico_stream_lanes();
    mico_stream_fence_before();
    return lanes < STREAM_LANES ? lanes : STREAM_LANES;
}

// All is done, and the core sees it. An engine that reports an error has left wrong results: trap, and on the
// core the console says so.
static inline void stream_end(void) {
    if (mico_stream_wait() != 0) __builtin_trap();
    mico_stream_fence_after();
}

#endif
