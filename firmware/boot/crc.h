// CRC-16/CCITT-FALSE of the frames and CRC-32 (IEEE) of the image, a byte a step, by table.
#ifndef MICO_CRC_H
#define MICO_CRC_H

#include <stddef.h>
#include <stdint.h>

#define CRC16_INIT 0xFFFFu

extern const uint16_t crc16_table[256];

static inline uint16_t crc16_step(uint16_t crc, uint8_t byte) {
    return (uint16_t)(crc << 8) ^ crc16_table[(uint8_t)(crc >> 8) ^ byte];
}

uint16_t crc16(uint16_t crc, const uint8_t *data, size_t size);
uint32_t crc32(const uint8_t *data, size_t size);

#endif
