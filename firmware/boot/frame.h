// Binary frames of the boot protocol (README.md): a reader fed byte by byte, and a writer. Knows nothing of
// the hardware.
#ifndef MICO_FRAME_H
#define MICO_FRAME_H

#include <stdint.h>

#define FRAME_SYNC0          0xA5u
#define FRAME_SYNC1          0x5Au
#define FRAME_HEADER_BYTES   8u // type, sequence, length, address
#define FRAME_OVERHEAD_BYTES 12u
#define FRAME_MAX_PAYLOAD    1024u

enum frame_type {
    FRAME_HELLO = 'H',
    FRAME_DATA = 'D',
    FRAME_END = 'E',
    FRAME_ABORT = 'X',
    FRAME_BAUD = 'B',
    FRAME_ACK = 'A',
    FRAME_NAK = 'N'
};

enum nak_reason {
    NAK_CRC = 1,
    NAK_SEQUENCE = 2,
    NAK_ADDRESS = 3,
    NAK_IMAGE_CRC = 4,
    NAK_TYPE = 5,
    NAK_TOO_LONG = 6
};

enum frame_event { FRAME_NOTHING, FRAME_COMPLETE, FRAME_CRC_WRONG, FRAME_TOO_LONG };

struct frame_reader {
    uint32_t state;
    uint32_t index; // bytes of the current part
    uint16_t crc;
    uint16_t received_crc;
    uint8_t header[FRAME_HEADER_BYTES];
    // Of the frame being read; valid after FRAME_COMPLETE until the next byte is pushed.
    uint8_t type;
    uint8_t sequence;
    uint32_t length;
    uint32_t address;
    _Alignas(4) uint8_t payload[FRAME_MAX_PAYLOAD];
};

void frame_reader_init(struct frame_reader *reader);

enum frame_event frame_reader_push(struct frame_reader *reader, uint8_t byte);

// For speed: while payload is awaited, where its next bytes go and how many may be put there at once (at most
// a chunk, so that a slow CRC does not overrun a UART's FIFO); NULL otherwise. frame_reader_filled() then
// takes all of them.
#define FRAME_CHUNK_BYTES 128u
uint8_t *frame_reader_space(struct frame_reader *reader, uint32_t *room);
void frame_reader_filled(struct frame_reader *reader, uint32_t count);

// Writes a frame of `length` payload bytes to `out` (length + FRAME_OVERHEAD_BYTES bytes); returns its size.
uint32_t frame_write(uint8_t *out, uint8_t type, uint8_t sequence, uint32_t address, const uint8_t *payload,
                     uint32_t length);

static inline uint32_t read_u16(const uint8_t *p) {
    return p[0] | (uint32_t)p[1] << 8;
}
static inline uint32_t read_u32(const uint8_t *p) {
    return read_u16(p) | read_u16(p + 2) << 16;
}
static inline void write_u16(uint8_t *p, uint32_t v) {
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}
static inline void write_u32(uint8_t *p, uint32_t v) {
    write_u16(p, v);
    write_u16(p + 2, v >> 16);
}

#endif
