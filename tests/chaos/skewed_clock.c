/* Preloaded into a process, this lets a test move its wall clock while it runs: the file named by CHAOS_SKEW_FILE holds
 * the distance to the true time in nanoseconds, as an int64. The monotonic clocks stay true, as after a step of a real
 * clock. Waits that end at a moment of the wall clock get it in true time, since the kernel knows no other; so waits that
 * are under way do not feel a jump. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static int64_t none;
static volatile int64_t *skew = &none;

__attribute__((constructor)) static void open_skew_file(void) {
    const char *path = getenv("CHAOS_SKEW_FILE");
    int file = path ? open(path, O_RDONLY) : -1;
    if (file >= 0) {
        void *page = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
        if (page != MAP_FAILED) {
            skew = page;
        }
        close(file);
    }
}

static void move(struct timespec *when, int64_t by) {
    int64_t total = (int64_t)when->tv_sec * 1000000000 + when->tv_nsec + by;
    when->tv_sec = total / 1000000000;
    when->tv_nsec = total % 1000000000;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) {
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    }
    int failed = real(clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        move(now, *skew);
    }
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec at;
    int failed = clock_gettime(CLOCK_REALTIME, &at);
    now->tv_sec = at.tv_sec;
    now->tv_usec = at.tv_nsec / 1000;
    return failed;
}

time_t time(time_t *out) {
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    if (out) {
        *out = at.tv_sec;
    }
    return at.tv_sec;
}

int timespec_get(struct timespec *now, int base) {
    return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, now) == 0 ? base : 0;
}

/* A condition of the monotonic clock waits for small numbers: seconds since the machine started. */
static struct timespec in_truth(const struct timespec *until) {
    struct timespec truth = *until;
    if (truth.tv_sec > 1000000000) {
        move(&truth, -*skew);
    }
    return truth;
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until) {
    static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    if (!real) {
        real = (int (*)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *))dlsym(
            RTLD_NEXT, "pthread_cond_timedwait");
    }
    struct timespec truth = in_truth(until);
    return real(condition, mutex, &truth);
}

int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict mutex,
                  const struct timespec *restrict until) {
    static int (*real)(cnd_t *, mtx_t *, const struct timespec *);
    if (!real) {
        real = (int (*)(cnd_t *, mtx_t *, const struct timespec *))dlsym(RTLD_NEXT, "cnd_timedwait");
    }
    struct timespec truth = in_truth(until);
    return real(condition, mutex, &truth);
}

int pthread_mutex_timedlock(pthread_mutex_t *restrict mutex, const struct timespec *restrict until) {
    static int (*real)(pthread_mutex_t *, const struct timespec *);
    if (!real) {
        real = (int (*)(pthread_mutex_t *, const struct timespec *))dlsym(RTLD_NEXT,
                                                                          "pthread_mutex_timedlock");
    }
    struct timespec truth = in_truth(until);
    return real(mutex, &truth);
}
