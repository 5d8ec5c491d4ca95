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
// A running CRC-32 starts at CRC32_INIT and ends by inverting it.
#define CRC32_INIT 0xFFFFFFFFu

extern const uint32_t crc32_table[256];

static inline uint32_t crc32_step(uint32_t crc, uint8_t byte) {
    return (crc >> 8) ^ crc32_table[(uint8_t)crc ^ byte];
}

uint32_t crc32(const uint8_t *data, size_t size);

#endif
