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

// GATHER of one lane below STREAM_LANES: in the instruction it is a constant.
static inline void stream_gather_lane(uint32_t lane, int32_t offset, int32_t x) {
    switch (lane) {
    case 0:
        mico_stream_gather_lane(0, offset, x);
        break;
    case 1:
        mico_stream_gather_lane(1, offset, x);
        break;
    case 2:
        mico_stream_gather_lane(2, offset, x);
        break;
    default:
        mico_stream_gather_lane(3, offset, x);
        break;
    }
}

// All is done, and the core sees it. An engine that reports an error has left wrong results: trap, and on the
// core the console says so.
static inline void stream_end(void) {
    if (mico_stream_wait() != 0) __builtin_trap();
    mico_stream_fence_after();
}

#endif
