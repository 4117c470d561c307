/* Records the memory accesses of a thread.
 *
 * The compiler's instrumentation for ThreadSanitizer calls these functions at each access; they
 * stand in for the runtime of that sanitizer. Accesses of libraries that are not instrumented,
 * such as the allocator, are not seen.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* As in recorder.rs. */
struct access {
    uintptr_t address;
    /* Where in the program, from its start. */
    uintptr_t code;
    uint32_t bytes;
    uint32_t writes;
};

extern const char __executable_start;

static __thread struct access *start, *next, *end;

void recorder_start(struct access *log, size_t capacity) {
    start = next = log;
    end = log + capacity;
}

/* Returns how many accesses were recorded. */
size_t recorder_stop(void) {
    size_t recorded = next - start;
    start = next = end = NULL;
    return recorded;
}

static inline void record(const volatile void *at, size_t bytes, int writes, void *code) {
    if (!start) return;
    if (next == end) abort();
    uintptr_t offset = (uintptr_t)code - (uintptr_t)&__executable_start;
    *next++ = (struct access){(uintptr_t)at, offset, bytes, writes};
}

#define CALLER __builtin_return_address(0)

void __tsan_init(void) {}

#define PLAIN(name, bytes)                                                                        \
    void __tsan_read##name(void *at) { record(at, bytes, 0, CALLER); }                            \
    void __tsan_write##name(void *at) { record(at, bytes, 1, CALLER); }                           \
    void __tsan_unaligned_read##name(void *at) { record(at, bytes, 0, CALLER); }                  \
    void __tsan_unaligned_write##name(void *at) { record(at, bytes, 1, CALLER); }

PLAIN(1, 1)
PLAIN(2, 2)
PLAIN(4, 4)
PLAIN(8, 8)
PLAIN(16, 16)

void *__tsan_memcpy(void *to, const void *from, size_t bytes) {
    record(from, bytes, 0, CALLER);
    record(to, bytes, 1, CALLER);
    return memcpy(to, from, bytes);
}

void *__tsan_memmove(void *to, const void *from, size_t bytes) {
    record(from, bytes, 0, CALLER);
    record(to, bytes, 1, CALLER);
    return memmove(to, from, bytes);
}

void *__tsan_memset(void *to, int value, size_t bytes) {
    record(to, bytes, 1, CALLER);
    return memset(to, value, bytes);
}

/* Atomic operations are carried out here, in the strongest order. One that changes nothing, such as
 * a compare-and-swap that fails, takes the line for writing all the same. */
#define UPDATE(bits, name)                                                                        \
    uint##bits##_t __tsan_atomic##bits##_##name(volatile uint##bits##_t *at, uint##bits##_t by,   \
                                                int order) {                                      \
        (void)order;                                                                              \
        record(at, bits / 8, 1, CALLER);                                                          \
        return __atomic_##name(at, by, __ATOMIC_SEQ_CST);                                         \
    }

#define ATOMIC(bits)                                                                              \
    uint##bits##_t __tsan_atomic##bits##_load(const volatile uint##bits##_t *at, int order) {     \
        (void)order;                                                                              \
        record(at, bits / 8, 0, CALLER);                                                          \
        return __atomic_load_n(at, __ATOMIC_SEQ_CST);                                             \
    }                                                                                             \
    void __tsan_atomic##bits##_store(volatile uint##bits##_t *at, uint##bits##_t value,           \
                                     int order) {                                                 \
        (void)order;                                                                              \
        record(at, bits / 8, 1, CALLER);                                                          \
        __atomic_store_n(at, value, __ATOMIC_SEQ_CST);                                            \
    }                                                                                             \
    uint##bits##_t __tsan_atomic##bits##_exchange(volatile uint##bits##_t *at,                    \
                                                  uint##bits##_t value, int order) {              \
        (void)order;                                                                              \
        record(at, bits / 8, 1, CALLER);                                                          \
        return __atomic_exchange_n(at, value, __ATOMIC_SEQ_CST);                                  \
    }                                                                                             \
    uint##bits##_t __tsan_atomic##bits##_compare_exchange_val(                                    \
        volatile uint##bits##_t *at, uint##bits##_t expected, uint##bits##_t value, int order,    \
        int failure) {                                                                            \
        (void)order, (void)failure;                                                               \
        record(at, bits / 8, 1, CALLER);                                                          \
        __atomic_compare_exchange_n(at, &expected, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
        return expected;                                                                          \
    }                                                                                             \
    UPDATE(bits, fetch_add)                                                                       \
    UPDATE(bits, fetch_sub)                                                                       \
    UPDATE(bits, fetch_and)                                                                       \
    UPDATE(bits, fetch_or)                                                                        \
    UPDATE(bits, fetch_xor)                                                                       \
    UPDATE(bits, fetch_nand)

ATOMIC(8)
ATOMIC(16)
ATOMIC(32)
ATOMIC(64)

void __tsan_atomic_thread_fence(int order) {
    (void)order;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void __tsan_atomic_signal_fence(int order) { (void)order; }

static int cores = 1;

void recorder_set_cores(int count) { cores = count; }

/* Tells the program that it has so many cores: the crates choose their numbers of shards by that. */
int sched_getaffinity(pid_t process, size_t bytes, cpu_set_t *set) {
    (void)process;
    CPU_ZERO_S(bytes, set);
    for (int core = 0; core < cores; core++) CPU_SET_S(core, bytes, set);
    return 0;
}
