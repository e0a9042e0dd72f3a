/* The limit: what this machine's memory allows, without any loader.
 *
 *     limit array FILE.npy u8|f32 SAMPLE_ELEMENTS BATCH_SIZE THREADS SECONDS ordinary|streaming
 *     limit files FOLDER u8 SAMPLE_ELEMENTS BATCH_SIZE THREADS SECONDS ordinary|streaming
 *     limit crops FOLDER i16 SIDE:CROP_SIDE BATCH_SIZE THREADS SECONDS ordinary|streaming
 *
 * Gathers samples in a shuffled order, widens them to f32 and stores them into a few reused batch buffers whose pages
 * exist before the clock starts. No arithmetic, no change of layout, no labels, no hand-over to anyone: a loader that
 * does all of these and comes near has nothing left to win. `array`: samples of one mapped .npy file; `files`: one
 * sample a file, opened, read and closed; `crops`: random cubes out of mapped volumes, one a file.
 * Prints one line of JSON. Exit status 3: this CPU has no streaming stores that we know of.
 *
 * Each thread takes whole batches from a shared counter and owns its buffers, so threads meet once a batch.
 */
#define _GNU_SOURCE
#include <dirent.h>
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

enum { BUFFERS_PER_THREAD = 2, MAX_THREADS = 256, ALIGN_BYTES = 64, LINE_BYTES = 64 };
enum { PREFETCH_BYTES = 1024, AHEAD_BYTES = 8192, CROPS_PER_VOLUME = 16 };
enum { EXIT_UNSUPPORTED = 3, NPY_HEADER_BYTES = 128 };
static const size_t HUGE_PAGE_BYTES = (size_t)2 << 20;

typedef void widen_fn(float *dst, const void *src, size_t element_count);

typedef struct Job Job;
typedef void fetch_fn(const Job *job, float *dst, size_t place); /* the sample at a place of the order */

struct Job {
    fetch_fn *fetch;
    widen_fn *widen;
    const uint8_t *samples;      /* `array`: first sample in the mapped file */
    const uint8_t **volumes;     /* `crops`: first voxel of each mapped file */
    char **paths;                /* `files`, `crops` */
    size_t side, crop_side;      /* `crops`: voxels */
    const uint32_t *order;       /* shuffled sample indices */
    size_t sample_count, sample_elements, element_bytes, batch_size;
    double seconds;
    pthread_barrier_t start;
    double start_s;              /* written by the last thread to arrive, before `start` opens */
    atomic_size_t next_batch;
    atomic_size_t filled_samples;
};

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

/* A type's two ways to be stored; -O3 makes vectors of the first, the second goes past the cache. */
#if defined(__AVX2__)
#define STREAM(type, load_lanes)                                                            \
    static void stream_##type(float *dst, const void *from, size_t element_count) {         \
        const type *src = from;                                                             \
        while (element_count > 0 && (uintptr_t)dst % ALIGN_BYTES != 0) {                    \
            *dst++ = (float)*src++;                                                         \
            element_count--;                                                                \
        }                                                                                   \
        for (; element_count >= LANES; dst += LANES, src += LANES, element_count -= LANES)  \
            stream_lanes(dst, load_lanes(src));                                             \
        store_##type(dst, src, element_count);                                              \
    }
#else
#define STREAM(type, load_lanes)
#endif

#define WIDEN(type, load_lanes)                                                             \
    static void store_##type(float *restrict dst, const void *from, size_t element_count) { \
        const type *restrict src = from;                                                    \
        for (size_t i = 0; i < element_count; i++) dst[i] = (float)src[i];                  \
    }                                                                                       \
    STREAM(type, load_lanes)

#if defined(__AVX512F__)
enum { LANES = 16 };
#define stream_lanes(dst, lanes) _mm512_stream_ps(dst, lanes)
#define LOAD_U8(src) _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(src))))
#define LOAD_I16(src) _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i *)(src))))
#define LOAD_F32(src) _mm512_loadu_ps(src)
#elif defined(__AVX2__)
enum { LANES = 8 };
#define stream_lanes(dst, lanes) _mm256_stream_ps(dst, lanes)
#define LOAD_U8(src) _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(src))))
#define LOAD_I16(src) _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i *)(src))))
#define LOAD_F32(src) _mm256_loadu_ps(src)
#endif

WIDEN(uint8_t, LOAD_U8)
WIDEN(int16_t, LOAD_I16)
WIDEN(float, LOAD_F32)

static widen_fn *choose_widen(const char *type, const char *store) {
    int streaming = strcmp(store, "streaming") == 0;
    if (!streaming && strcmp(store, "ordinary") != 0) fail("limit: kind of store");
#if defined(__AVX2__)
    if (strcmp(type, "u8") == 0) return streaming ? stream_uint8_t : store_uint8_t;
    if (strcmp(type, "i16") == 0) return streaming ? stream_int16_t : store_int16_t;
    return streaming ? stream_float : store_float;
#else
    if (!streaming) return strcmp(type, "u8") == 0 ? store_uint8_t : strcmp(type, "i16") == 0 ? store_int16_t : store_float;
    fprintf(stderr, "limit: no %s stores on this CPU\n", store);
    exit(EXIT_UNSUPPORTED);
#endif
}

/* ---- one sample ---- */

/* Asks for the head of a sample that comes later: the hardware follows it from there. Of small samples several are on
 * their way at once, or the memory's latency is all that shows. */
static void fetch_from_array(const Job *job, float *dst, size_t place) {
    size_t sample_bytes = job->sample_elements * job->element_bytes, ahead = place + 1 + AHEAD_BYTES / sample_bytes;
    const uint8_t *later = job->samples + job->order[ahead % job->sample_count] * sample_bytes;
    size_t head_bytes = sample_bytes < PREFETCH_BYTES ? sample_bytes : PREFETCH_BYTES;
    for (size_t at = 0; at < head_bytes; at += LINE_BYTES) __builtin_prefetch(later + at);
    job->widen(dst, job->samples + job->order[place] * sample_bytes, job->sample_elements);
}

static void fetch_from_file(const Job *job, float *dst, size_t place) {
    static _Thread_local uint8_t *scratch;
    size_t sample_bytes = job->sample_elements * job->element_bytes;
    if (scratch == NULL && (scratch = malloc(sample_bytes)) == NULL) fail("limit: cannot get a scratch buffer");
    const char *path = job->paths[job->order[place]];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || pread(fd, scratch, sample_bytes, NPY_HEADER_BYTES) != (ssize_t)sample_bytes) fail(path);
    close(fd);
    job->widen(dst, scratch, job->sample_elements);
}

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13, *state ^= *state >> 7, *state ^= *state << 17;
    return *state;
}

static void fetch_crop(const Job *job, float *dst, size_t place) {
    static _Thread_local uint64_t state = 0x9e3779b97f4a7c15u;
    size_t side = job->side, crop = job->crop_side, room = side - crop + 1;
    size_t z0 = next_random(&state) % room, y0 = next_random(&state) % room, x0 = next_random(&state) % room;
    const uint8_t *volume = job->volumes[job->order[place] / CROPS_PER_VOLUME];
    for (size_t z = z0; z < z0 + crop; z++)
        for (size_t y = y0; y < y0 + crop; y++, dst += crop)
            job->widen(dst, volume + ((z * side + y) * side + x0) * job->element_bytes, crop);
}

/* ---- the loop ---- */

static size_t fill_batch(const Job *job, float *batch, size_t batch_index) {
    size_t epoch_batches = (job->sample_count + job->batch_size - 1) / job->batch_size;
    size_t first = batch_index % epoch_batches * job->batch_size;
    size_t end = first + job->batch_size < job->sample_count ? first + job->batch_size : job->sample_count;
    for (size_t i = first; i < end; i++, batch += job->sample_elements) job->fetch(job, batch, i);
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
        buffers[i] = open_buffer(job->batch_size * job->sample_elements * sizeof(float));
    fill_batch(job, buffers[0], 0); /* warm: code, map and TLB */
    if (pthread_barrier_wait(&job->start) == PTHREAD_BARRIER_SERIAL_THREAD) job->start_s = clock_s();
    pthread_barrier_wait(&job->start);
    size_t filled = 0;
    for (size_t turn = 0; clock_s() - job->start_s < job->seconds; turn++)
        filled += fill_batch(job, buffers[turn % BUFFERS_PER_THREAD], atomic_fetch_add(&job->next_batch, 1));
    atomic_fetch_add(&job->filled_samples, filled);
    return NULL; /* the buffers live until exit: giving them back would count as work */
}

/* ---- the files and the order ---- */

/* Maps a file with all its pages present: its bytes, and how many there are. */
static const uint8_t *map_file(const char *path, size_t *size_bytes) {
    int fd = open(path, O_RDONLY);
    struct stat info;
    if (fd < 0 || fstat(fd, &info) != 0) fail(path);
    int flags = MAP_SHARED;
#if defined(MAP_POPULATE)
    flags |= MAP_POPULATE;
#endif
    const uint8_t *bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, flags, fd, 0);
    if (bytes == MAP_FAILED) fail(path);
    close(fd);
    *size_bytes = (size_t)info.st_size;
    return bytes;
}

/* What follows the header that NumPy writes for every array here: 128 bytes, version 1. */
static const uint8_t *map_array(const char *path, size_t *data_bytes) {
    const uint8_t *bytes = map_file(path, data_bytes);
    if (memcmp(bytes, "\x93NUMPY\x01", 7) != 0 || bytes[8] + 256u * bytes[9] + 10 != NPY_HEADER_BYTES) {
        fprintf(stderr, "limit: %s: not an .npy file with a header of %d bytes\n", path, NPY_HEADER_BYTES);
        exit(1);
    }
    *data_bytes -= NPY_HEADER_BYTES;
    return bytes + NPY_HEADER_BYTES;
}

/* The paths of all .npy files in a folder, by name. */
static char **list_files(const char *folder, size_t *count) {
    struct dirent **entries;
    int found = scandir(folder, &entries, NULL, alphasort), kept = 0;
    if (found < 0) fail(folder);
    char **paths = calloc((size_t)found, sizeof *paths);
    if (paths == NULL) fail("limit: cannot get the names");
    for (int i = 0; i < found; i++) {
        if (strstr(entries[i]->d_name, ".npy") == NULL) continue;
        if (asprintf(&paths[kept++], "%s/%s", folder, entries[i]->d_name) < 0) fail("limit: cannot get a name");
    }
    *count = (size_t)kept;
    return paths;
}

static void open_array(Job *job, const char *path) {
    size_t data_bytes;
    job->fetch = fetch_from_array;
    job->samples = map_array(path, &data_bytes);
    job->sample_count = data_bytes / (job->sample_elements * job->element_bytes);
}

static void open_files(Job *job, const char *folder) {
    job->fetch = fetch_from_file;
    job->paths = list_files(folder, &job->sample_count);
}

static void open_volumes(Job *job, const char *folder, const char *sides) {
    size_t count, data_bytes;
    job->fetch = fetch_crop;
    job->side = strtoull(sides, NULL, 10);
    job->crop_side = strchr(sides, ':') ? strtoull(strchr(sides, ':') + 1, NULL, 10) : 0;
    job->sample_elements = job->crop_side * job->crop_side * job->crop_side;
    job->paths = list_files(folder, &count);
    job->volumes = calloc(count, sizeof *job->volumes);
    if (job->volumes == NULL) fail("limit: cannot get the volumes");
    for (size_t i = 0; i < count; i++) {
        job->volumes[i] = map_array(job->paths[i], &data_bytes);
        if (data_bytes != job->side * job->side * job->side * job->element_bytes || job->crop_side > job->side) {
            fprintf(stderr, "limit: %s: not a volume of these sides\n", job->paths[i]);
            exit(1);
        }
    }
    job->sample_count = count * CROPS_PER_VOLUME;
}

/* A Fisher-Yates shuffle with a fixed xorshift64 stream: the same order in every run. */
static uint32_t *shuffled_order(size_t sample_count) {
    uint32_t *order = malloc(sample_count * sizeof *order);
    if (order == NULL) fail("limit: cannot get the order");
    uint64_t state = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < sample_count; i++) {
        size_t j = next_random(&state) % (i + 1);
        order[i] = order[j];
        order[j] = (uint32_t)i;
    }
    return order;
}

int main(int argc, char **argv) {
    if (argc != 9) {
        fprintf(stderr, "usage: limit array|files|crops PATH u8|i16|f32 SAMPLE BATCH THREADS SECONDS ordinary|streaming\n");
        return 2;
    }
    const char *kind = argv[1], *path = argv[2], *type = argv[3];
    Job job = {.sample_elements = strtoull(argv[4], NULL, 10), .batch_size = strtoull(argv[5], NULL, 10)};
    size_t threads = strtoull(argv[6], NULL, 10);
    job.seconds = strtod(argv[7], NULL);
    job.widen = choose_widen(type, argv[8]);
    job.element_bytes = strcmp(type, "u8") == 0 ? 1 : strcmp(type, "i16") == 0 ? 2 : 4;
    if (job.sample_elements == 0 || job.batch_size == 0 || threads == 0 || threads > MAX_THREADS) {
        fprintf(stderr, "limit: sizes must be positive, threads at most %d\n", MAX_THREADS);
        return 2;
    }
    if (strcmp(kind, "array") == 0) open_array(&job, path);
    else if (strcmp(kind, "files") == 0) open_files(&job, path);
    else open_volumes(&job, path, argv[4]);
    if (job.sample_count == 0) {
        fprintf(stderr, "limit: no samples in %s\n", path);
        return 1;
    }
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
