// The loader's state machine: bytes in, answers out, image in memory. Knows nothing of the hardware; also
// runs on a host.
#ifndef MICO_LOADER_H
#define MICO_LOADER_H

#include "frame.h"

#define LOADER_VERSION 1u
#define LOADER_WINDOW  4u

struct loader {
    // Set by the caller.
    uint8_t *memory;    // where `ram_base` lies for this program
    uint32_t ram_base;  // as the host addresses it
    uint32_t ram_bytes; // what an image may use
    void (*send)(void *context, const uint8_t *data, uint32_t size);
    void (*receive)(void *context, uint8_t *data, uint32_t size); // waits for `size` bytes
    // Both null: the line's rate cannot be changed.
    uint32_t (*accept_baud)(void *context, uint32_t wanted); // wanted, or 0 to keep the present rate
    void (*set_baud)(void *context, uint32_t baud);          // after all that was sent has left
    void *context;
    // State.
    struct frame_reader reader;
    uint8_t expected;     // sequence of the next frame
    uint8_t greeted;      // a HELLO has been accepted
    uint8_t gap_reported; // go-back-N: one NAK a gap, not one for each frame behind it
    uint8_t started;      // END accepted: jump to `entry`
    uint8_t aborted;      // ABORT received; the caller decides what that means
    uint32_t entry;
};

void loader_init(struct loader *loader);

// Receives and answers frames until one of them starts the image or aborts.
void loader_run(struct loader *loader);

#endif
