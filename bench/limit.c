/* The limit: what this machine's memory allows, without any loader.
 *
 *     limit FILE.npy SAMPLE_BYTES BATCH_SIZE THREADS SECONDS ordinary|streaming
 *
 * Gathers the u8 samples of one mapped .npy file in a shuffled order, widens u8 -> f32 and stores them into a few
 * reused batch buffers whose pages exist before the clock starts. No arithmetic, no change of layout, no labels, no
 * hand-over to anyone: a loader that does all of these and comes near has nothing left to win.
 * Prints one line of JSON. Exit status 3: this CPU has no streaming stores that we know of.
 *
 * Each thread takes whole batches from a shared counter and owns its buffers, so threads meet once a batch.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

enum { BUFFERS_PER_THREAD = 2, MAX_THREADS = 256, ALIGN_BYTES = 64, LINE_BYTES = 64, PREFETCH_BYTES = 1024 };
enum { EXIT_UNSUPPORTED = 3 };
static const size_t HUGE_PAGE_BYTES = (size_t)2 << 20;

typedef void widen_fn(float *dst, const uint8_t *src, size_t element_count);

typedef struct {
    const uint8_t *samples;      /* first sample in the mapped file */
    const uint32_t *order;       /* shuffled sample indices */
    size_t sample_count, sample_bytes, batch_size;
    widen_fn *widen;
    double seconds;
    pthread_barrier_t start;
    double start_s;              /* written by the last thread to arrive, before `start` opens */
    atomic_size_t next_batch;
    atomic_size_t filled_samples;
} Job;

/* ---- machine ---- */

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static double clock_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double cpu_s(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

/* ---- widening ---- */

static void widen_ordinary(float *restrict dst, const uint8_t *restrict src, size_t element_count) {
    for (size_t i = 0; i < element_count; i++) dst[i] = (float)src[i]; /* -O3 makes vectors of it */
}

/* LANES elements of u8 from `src`, widened and stored past the cache to the aligned `dst`. */
#if defined(__AVX512F__)
enum { LANES = 16 };
static inline void stream_lanes(float *dst, const uint8_t *src) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)src);
    _mm512_stream_ps(dst, _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes)));
}
#elif defined(__AVX2__)
enum { LANES = 8 };
static inline void stream_lanes(float *dst, const uint8_t *src) {
    __m128i bytes = _mm_loadl_epi64((const __m128i *)src);
    _mm256_stream_ps(dst, _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)));
}
#endif

#if defined(__AVX2__)
static void widen_streaming(float *dst, const uint8_t *src, size_t element_count) {
    while (element_count > 0 && (uintptr_t)dst % ALIGN_BYTES != 0) {
        *dst++ = (float)*src++;
        element_count--;
    }
    for (; element_count >= LANES; dst += LANES, src += LANES, element_count -= LANES) stream_lanes(dst, src);
    widen_ordinary(dst, src, element_count);
}
#endif

static widen_fn *choose_widen(const char *store) {
    if (strcmp(store, "ordinary") == 0) return widen_ordinary;
#if defined(__AVX2__)
    if (strcmp(store, "streaming") == 0) return widen_streaming;
#endif
    fprintf(stderr, "limit: no %s stores on this CPU\n", store);
    exit(EXIT_UNSUPPORTED);
}

/* ---- the loop ---- */

/* Asks for the head of a sample that comes next: the hardware follows it from there. */
static void prefetch_head(const uint8_t *sample, size_t sample_bytes) {
    size_t head_bytes = sample_bytes < PREFETCH_BYTES ? sample_bytes : PREFETCH_BYTES;
    for (size_t at = 0; at < head_bytes; at += LINE_BYTES) __builtin_prefetch(sample + at);
}

static size_t fill_batch(const Job *job, float *batch, size_t batch_index) {
    size_t epoch_batches = (job->sample_count + job->batch_size - 1) / job->batch_size;
    size_t first = batch_index % epoch_batches * job->batch_size;
    size_t end = first + job->batch_size < job->sample_count ? first + job->batch_size : job->sample_count;
    for (size_t i = first; i < end; i++) {
        size_t ahead = i + 1 < job->sample_count ? i + 1 : 0;
        prefetch_head(job->samples + job->order[ahead] * job->sample_bytes, job->sample_bytes);
        job->widen(batch, job->samples + job->order[i] * job->sample_bytes, job->sample_bytes);
        batch += job->sample_bytes;
    }
#if defined(__AVX2__)
    _mm_sfence(); /* a batch is done when its streaming stores are */
#endif
    return end - first;
}

/* Batch memory as a good loader has it: aligned, huge pages where the system gives them, touched. */
static float *open_buffer(size_t bytes) {
    size_t whole_bytes = (bytes + HUGE_PAGE_BYTES - 1) / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
    float *buffer = aligned_alloc(HUGE_PAGE_BYTES, whole_bytes);
    if (buffer == NULL) fail("limit: cannot get a batch buffer");
#if defined(MADV_HUGEPAGE)
    madvise(buffer, whole_bytes, MADV_HUGEPAGE); /* advice: fine without */
#endif
    memset(buffer, 1, whole_bytes);
    return buffer;
}

static void *worker(void *argument) {
    Job *job = argument;
    float *buffers[BUFFERS_PER_THREAD];
    for (int i = 0; i < BUFFERS_PER_THREAD; i++)
        buffers[i] = open_buffer(job->batch_size * job->sample_bytes * sizeof(float));
    fill_batch(job, buffers[0], 0); /* warm: code, map and TLB */
    if (pthread_barrier_wait(&job->start) == PTHREAD_BARRIER_SERIAL_THREAD) job->start_s = clock_s();
    pthread_barrier_wait(&job->start);
    size_t filled = 0;
    for (size_t turn = 0; clock_s() - job->start_s < job->seconds; turn++)
        filled += fill_batch(job, buffers[turn % BUFFERS_PER_THREAD], atomic_fetch_add(&job->next_batch, 1));
    atomic_fetch_add(&job->filled_samples, filled);
    return NULL; /* the buffers live until exit: giving them back would count as work */
}

/* ---- the file and the order ---- */

/* Maps the file with all its pages present and finds the samples behind the .npy header (versions 1 to 3). */
static void open_samples(Job *job, const char *path) {
    int fd = open(path, O_RDONLY);
    struct stat info;
    if (fd < 0 || fstat(fd, &info) != 0) fail(path);
    int flags = MAP_SHARED;
#if defined(MAP_POPULATE)
    flags |= MAP_POPULATE;
#endif
    const uint8_t *bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, flags, fd, 0);
    if (bytes == MAP_FAILED) fail(path);
    size_t header_bytes = bytes[8] + 256u * bytes[9] + 10;
    if (bytes[6] >= 2) header_bytes += 65536u * bytes[10] + ((size_t)bytes[11] << 24) + 2;
    if (memcmp(bytes, "\x93NUMPY", 6) != 0 || header_bytes >= (size_t)info.st_size) {
        fprintf(stderr, "limit: not an .npy file with samples\n");
        exit(1);
    }
    job->samples = bytes + header_bytes;
    job->sample_count = ((size_t)info.st_size - header_bytes) / job->sample_bytes;
    close(fd);
}

/* A Fisher-Yates shuffle with a fixed xorshift64 stream: the same order in every run. */
static uint32_t *shuffled_order(size_t sample_count) {
    uint32_t *order = malloc(sample_count * sizeof *order);
    if (order == NULL) fail("limit: cannot get the order");
    uint64_t state = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < sample_count; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        size_t j = state % (i + 1);
        order[i] = order[j];
        order[j] = (uint32_t)i;
    }
    return order;
}

int main(int argc, char **argv) {
    if (argc != 7) {
        fprintf(stderr, "usage: limit FILE.npy SAMPLE_BYTES BATCH_SIZE THREADS SECONDS ordinary|streaming\n");
        return 2;
    }
    Job job = {.sample_bytes = strtoull(argv[2], NULL, 10), .batch_size = strtoull(argv[3], NULL, 10)};
    size_t threads = strtoull(argv[4], NULL, 10);
    job.seconds = strtod(argv[5], NULL);
    job.widen = choose_widen(argv[6]);
    if (job.sample_bytes == 0 || job.batch_size == 0 || threads == 0 || threads > MAX_THREADS) {
        fprintf(stderr, "limit: sizes must be positive, threads at most %d\n", MAX_THREADS);
        return 2;
    }
    open_samples(&job, argv[1]);
    job.order = shuffled_order(job.sample_count);
    pthread_barrier_init(&job.start, NULL, (unsigned)threads + 1);
    pthread_t ids[MAX_THREADS];
    for (size_t i = 0; i < threads; i++)
        if (pthread_create(&ids[i], NULL, worker, &job) != 0) fail("limit: cannot start a thread");
    if (pthread_barrier_wait(&job.start) == PTHREAD_BARRIER_SERIAL_THREAD) job.start_s = clock_s();
    double cpu_before_s = cpu_s();
    pthread_barrier_wait(&job.start);
    for (size_t i = 0; i < threads; i++) pthread_join(ids[i], NULL);
    double seconds = clock_s() - job.start_s, cpu = cpu_s() - cpu_before_s;
    size_t samples = atomic_load(&job.filled_samples);
    printf("{\"samples\": %zu, \"seconds\": %.6f, \"samples_per_s\": %.1f, \"cpu_s_per_million\": %.4f}\n", samples, seconds,
           (double)samples / seconds, cpu / (double)samples * 1e6);
    return 0;
}
