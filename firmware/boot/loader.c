// See loader.h and README.md. Every frame is answered, save those that follow a gap that was already
// reported.
#include "loader.h"

#include <string.h>

#include "crc.h"

void loader_init(struct loader *loader) {
    frame_reader_init(&loader->reader);
    loader->expected = 0;
    loader->greeted = 0;
    loader->gap_reported = 0;
    loader->started = 0;
    loader->aborted = 0;
    loader->entry = 0;
}

static void answer(struct loader *loader, uint8_t type, uint8_t sequence, const uint8_t *payload,
                   uint32_t length) {
    uint8_t out[FRAME_OVERHEAD_BYTES + 16];
    loader->send(loader->context, out, frame_write(out, type, sequence, 0, payload, length));
}

static void ack(struct loader *loader) {
    answer(loader, FRAME_ACK, (uint8_t)(loader->expected - 1), 0, 0);
}

static void nak(struct loader *loader, uint8_t reason) {
    loader->gap_reported = 1;
    answer(loader, FRAME_NAK, loader->expected, &reason, 1);
}

// Of damaged frames behind a gap that is already reported nothing is said, unless it is the awaited frame
// that came damaged again: the host sends all of them anew, and an answer to each would make it do so several
// times over.
static void damaged(struct loader *loader, uint8_t reason) {
    if (!loader->gap_reported || loader->reader.sequence == loader->expected) nak(loader, reason);
}

static int in_ram(const struct loader *loader, uint32_t address, uint32_t length) {
    uint32_t offset = address - loader->ram_base;
    return address >= loader->ram_base && offset <= loader->ram_bytes && length <= loader->ram_bytes - offset;
}

static void hello(struct loader *loader) {
    uint8_t payload[16];
    loader->expected = (uint8_t)(loader->reader.sequence + 1);
    loader->greeted = 1;
    loader->gap_reported = 0;
    write_u16(payload, LOADER_VERSION);
    write_u16(payload + 2, LOADER_WINDOW);
    write_u16(payload + 4, FRAME_MAX_PAYLOAD);
    write_u16(payload + 6, 0);
    write_u32(payload + 8, loader->ram_base);
    write_u32(payload + 12, loader->ram_bytes);
    answer(loader, FRAME_ACK, loader->reader.sequence, payload, sizeof payload);
}

// Returns 0, or why the frame is refused.
static uint8_t data(struct loader *loader) {
    const struct frame_reader *frame = &loader->reader;
    if (!in_ram(loader, frame->address, frame->length)) return NAK_ADDRESS;
    memcpy(loader->memory + (frame->address - loader->ram_base), frame->payload, frame->length);
    return 0;
}

static uint8_t end(struct loader *loader) {
    const uint8_t *payload = loader->reader.payload;
    if (loader->reader.length != 16) return NAK_ADDRESS;
    uint32_t base = read_u32(payload), length = read_u32(payload + 4), entry = read_u32(payload + 12);
    if (length == 0 || !in_ram(loader, base, length)) return NAK_ADDRESS;
    if (entry - base >= length || entry % 4 != 0) return NAK_ADDRESS;
    if (crc32(loader->memory + (base - loader->ram_base), length) != read_u32(payload + 8)) {
        return NAK_IMAGE_CRC;
    }
    loader->entry = entry;
    loader->started = 1;
    return 0;
}

static void sequenced(struct loader *loader) {
    int8_t ahead = (int8_t)(loader->reader.sequence - loader->expected);
    if (!loader->greeted || ahead > 0) {
        if (!loader->gap_reported) nak(loader, NAK_SEQUENCE);
        return;
    }
    if (ahead < 0) { // a duplicate: the host missed our ACK
        ack(loader);
        return;
    }
    uint8_t reason = loader->reader.type == FRAME_DATA ? data(loader) : end(loader);
    if (reason) {
        nak(loader, reason);
        return;
    }
    loader->expected++;
    loader->gap_reported = 0;
    ack(loader);
}

static void baud(struct loader *loader) {
    const struct frame_reader *frame = &loader->reader;
    uint8_t payload[4];
    uint32_t accepted = 0;
    if (loader->accept_baud && frame->length == 4) {
        accepted = loader->accept_baud(loader->context, read_u32(frame->payload));
    }
    write_u32(payload, accepted);
    answer(loader, FRAME_ACK, frame->sequence, payload, sizeof payload);
    if (accepted) loader->set_baud(loader->context, accepted);
}

static void push(struct loader *loader, uint8_t byte) {
    switch (frame_reader_push(&loader->reader, byte)) {
    case FRAME_NOTHING:
        return;
    case FRAME_CRC_WRONG:
        damaged(loader, NAK_CRC);
        return;
    case FRAME_TOO_LONG:
        damaged(loader, NAK_TOO_LONG);
        return;
    case FRAME_COMPLETE:
        break;
    }
    switch (loader->reader.type) {
    case FRAME_HELLO:
        hello(loader);
        return;
    case FRAME_BAUD:
        baud(loader);
        return;
    case FRAME_DATA:
    case FRAME_END:
        sequenced(loader);
        return;
    case FRAME_ABORT:
        loader->aborted = 1;
        answer(loader, FRAME_ACK, loader->reader.sequence, 0, 0);
        return;
    default:
        nak(loader, NAK_TYPE);
        return;
    }
}

void loader_run(struct loader *loader) {
    while (!loader->started && !loader->aborted) {
        uint32_t room;
        uint8_t *space = frame_reader_space(&loader->reader, &room);
        if (space) {
            loader->receive(loader->context, space, room);
            frame_reader_filled(&loader->reader, room);
        } else {
            uint8_t byte;
            loader->receive(loader->context, &byte, 1);
            push(loader, byte);
        }
    }
}
