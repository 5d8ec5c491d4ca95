// See frame.h. The reader never trusts a length: at most FRAME_MAX_PAYLOAD bytes are taken, whatever the
// header says.
#include "frame.h"

#include "crc.h"

enum { WAIT_SYNC0, WAIT_SYNC1, IN_HEADER, IN_PAYLOAD, IN_CRC };

void frame_reader_init(struct frame_reader *reader) {
    reader->state = WAIT_SYNC0;
    reader->index = 0;
    reader->length = 0;
}

static enum frame_event end_of_header(struct frame_reader *reader) {
    const uint8_t *header = reader->header;
    reader->type = header[0];
    reader->sequence = header[1];
    reader->length = read_u16(header + 2);
    reader->address = read_u32(header + 4);
    reader->index = 0;
    if (reader->length > FRAME_MAX_PAYLOAD) {
        reader->state = WAIT_SYNC0;
        return FRAME_TOO_LONG;
    }
    reader->crc = crc16(CRC16_INIT, header, FRAME_HEADER_BYTES);
    reader->state = reader->length ? IN_PAYLOAD : IN_CRC;
    return FRAME_NOTHING;
}

enum frame_event frame_reader_push(struct frame_reader *reader, uint8_t byte) {
    switch (reader->state) {
    case IN_PAYLOAD:
        reader->payload[reader->index] = byte;
        frame_reader_filled(reader, 1);
        return FRAME_NOTHING;
    case WAIT_SYNC0:
        if (byte == FRAME_SYNC0) reader->state = WAIT_SYNC1;
        return FRAME_NOTHING;
    case WAIT_SYNC1:
        if (byte == FRAME_SYNC1) {
            reader->index = 0;
            reader->state = IN_HEADER;
        } else if (byte != FRAME_SYNC0) {
            reader->state = WAIT_SYNC0;
        }
        return FRAME_NOTHING;
    case IN_HEADER:
        reader->header[reader->index++] = byte;
        return reader->index == FRAME_HEADER_BYTES ? end_of_header(reader) : FRAME_NOTHING;
    default: // IN_CRC
        if (reader->index++ == 0) {
            reader->received_crc = byte;
            return FRAME_NOTHING;
        }
        reader->received_crc |= (uint16_t)(byte << 8);
        reader->state = WAIT_SYNC0;
        return reader->received_crc == reader->crc ? FRAME_COMPLETE : FRAME_CRC_WRONG;
    }
}

uint8_t *frame_reader_space(struct frame_reader *reader, uint32_t *room) {
    if (reader->state != IN_PAYLOAD) return 0;
    uint32_t left = reader->length - reader->index;
    *room = left < FRAME_CHUNK_BYTES ? left : FRAME_CHUNK_BYTES;
    return reader->payload + reader->index;
}

void frame_reader_filled(struct frame_reader *reader, uint32_t count) {
    reader->crc = crc16(reader->crc, reader->payload + reader->index, count);
    reader->index += count;
    if (reader->index == reader->length) {
        reader->index = 0;
        reader->state = IN_CRC;
    }
}

uint32_t frame_write(uint8_t *out, uint8_t type, uint8_t sequence, uint32_t address, const uint8_t *payload,
                     uint32_t length) {
    out[0] = FRAME_SYNC0;
    out[1] = FRAME_SYNC1;
    out[2] = type;
    out[3] = sequence;
    write_u16(out + 4, length);
    write_u32(out + 6, address);
    for (uint32_t i = 0; i < length; i++) out[10 + i] = payload[i];
    write_u16(out + 10 + length, crc16(CRC16_INIT, out + 2, FRAME_HEADER_BYTES + length));
    return length + FRAME_OVERHEAD_BYTES;
}
