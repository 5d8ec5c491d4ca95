// libFuzzer on the boot loader: whatever comes, nothing outside its RAM is touched (AddressSanitizer sees to
// that), answers are whole frames, and an image starts only if its CRC-32 is right.
#include <setjmp.h>
#include <stdlib.h>

#include "../../../firmware/boot/crc.h"
#include "../../../firmware/boot/loader.h"
#include "stream.h"

#define RAM_BASE  0x40000000u
#define RAM_BYTES 4096u

static struct fuzz_stream stream;
static jmp_buf end_of_stream;

static void must(int condition) {
    if (!condition) __builtin_trap();
}

static void receive(void *context, uint8_t *data, uint32_t size) {
    (void)context;
    if (stream.size - stream.next < size) longjmp(end_of_stream, 1);
    memcpy(data, stream.bytes + stream.next, size);
    stream.next += size;
}

static void send_bytes(void *context, const uint8_t *data, uint32_t size) {
    (void)context;
    must(size >= FRAME_OVERHEAD_BYTES && data[0] == FRAME_SYNC0 && data[1] == FRAME_SYNC1);
    must(data[2] == FRAME_ACK || data[2] == FRAME_NAK);
    must(read_u16(data + 4) + FRAME_OVERHEAD_BYTES == size);
    must(read_u16(data + size - 2) == crc16(CRC16_INIT, data + 2, size - 4));
}

static uint32_t accept_baud(void *context, uint32_t wanted) {
    (void)context;
    return wanted < 2000000u ? wanted : 0;
}

static void set_baud(void *context, uint32_t baud) {
    (void)context;
    must(baud != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct loader loader; // static: longjmp leaves it as it was
    static uint8_t *ram;
    fuzz_make_stream(&stream, data, size, RAM_BASE, NULL, 0);
    ram = malloc(RAM_BYTES);
    memset(ram, 0xEE, RAM_BYTES);
    loader = (struct loader){.memory = ram,
                             .ram_base = RAM_BASE,
                             .ram_bytes = RAM_BYTES,
                             .send = send_bytes,
                             .receive = receive,
                             .accept_baud = accept_baud,
                             .set_baud = set_baud};
    if (!setjmp(end_of_stream)) {
        loader_init(&loader);
        loader_run(&loader);
        if (loader.started) {
            const uint8_t *end = loader.reader.payload;
            uint32_t base = read_u32(end) - RAM_BASE, length = read_u32(end + 4);
            must(length != 0 && base < RAM_BYTES && length <= RAM_BYTES - base);
            must(crc32(ram + base, length) == read_u32(end + 8));
            must(loader.entry - RAM_BASE - base < length && loader.entry % 4 == 0);
        }
    }
    free(ram);
    return 0;
}
