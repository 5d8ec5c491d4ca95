// What a fuzzer's input stands for: a stream of bytes to a device. Parts of it are raw; others are frames
// whose CRC is right, or commands of the console, which no mutation would ever find. The input is a list of
// parts:
//
//   0x00..0x7F            so many raw bytes follow
//   0x80..0xBF type seq address[4] length[2] payload...   a frame; bit 0 of the first byte damages its CRC
//   0xC0..0xFF            a command of the console by its number
#ifndef FUZZ_STREAM_H
#define FUZZ_STREAM_H

#include <stdint.h>
#include <string.h>

#include "../../../firmware/boot/frame.h"

#define FUZZ_MAX_STREAM 65536u

struct fuzz_stream {
    uint8_t bytes[FUZZ_MAX_STREAM];
    uint32_t size;
    uint32_t next;
};

struct fuzz_input {
    const uint8_t *data;
    uint32_t left;
};

static uint32_t fuzz_take(struct fuzz_input *input, void *out, uint32_t count) {
    if (count > input->left) count = input->left;
    memcpy(out, input->data, count);
    input->data += count;
    input->left -= count;
    return count;
}

static void fuzz_append(struct fuzz_stream *stream, const void *bytes, uint32_t count) {
    if (count > FUZZ_MAX_STREAM - stream->size) count = FUZZ_MAX_STREAM - stream->size;
    memcpy(stream->bytes + stream->size, bytes, count);
    stream->size += count;
}

// `ram_base` is added to the addresses of frames, so that small numbers are addresses that fit.
static void fuzz_frame(struct fuzz_stream *stream, struct fuzz_input *input, uint32_t ram_base, int damaged) {
    static const uint8_t types[8] = {'H', 'D', 'D', 'E', 'X', 'B', 'A', 0};
    uint8_t head[8] = {0}, payload[FRAME_MAX_PAYLOAD], out[FRAME_MAX_PAYLOAD + FRAME_OVERHEAD_BYTES];
    fuzz_take(input, head, sizeof head);
    uint32_t length = read_u16(head + 6) % (FRAME_MAX_PAYLOAD + 1u);
    length = fuzz_take(input, payload, length);
    uint8_t type = types[head[0] & 7] ? types[head[0] & 7] : head[0];
    if (type == 'E' && length == 16) write_u32(payload, read_u32(payload) + ram_base);
    if (type == 'E' && length == 16) write_u32(payload + 12, read_u32(payload + 12) + ram_base);
    uint32_t size = frame_write(out, type, head[1], read_u32(head + 2) + ram_base, payload, length);
    if (damaged) out[size - 1] ^= 0x40;
    fuzz_append(stream, out, size);
}

static void fuzz_make_stream(struct fuzz_stream *stream, const uint8_t *data, size_t size, uint32_t ram_base,
                             const char *const *commands, uint32_t command_count) {
    struct fuzz_input input = {data, (uint32_t)size};
    uint8_t kind, raw[128];
    stream->size = stream->next = 0;
    while (fuzz_take(&input, &kind, 1)) {
        if (kind < 0x80) {
            fuzz_append(stream, raw, fuzz_take(&input, raw, kind));
        } else if (kind < 0xC0 || command_count == 0) {
            fuzz_frame(stream, &input, ram_base, kind & 1);
        } else {
            const char *command = commands[kind % command_count];
            fuzz_append(stream, command, (uint32_t)strlen(command));
        }
    }
}

#endif
