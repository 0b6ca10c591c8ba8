#include "base/worker.h"

#include <pthread.h>

#include "base/env.h"

typedef struct job {
    void (*run)(void *context);
    void *context;
} job;

struct reel_worker {
    reel_env *env;
    bool started; /* there is a thread */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t handed, done; /* the worker and the owner sleep here */
    job job[REEL_WORKER_JOBS];   /* number i lies at i % REEL_WORKER_JOBS */
    int64_t n_handed, n_done;
    bool stop;
};

static void *work(void *context) {
    reel_worker *w = context;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (w->n_done == w->n_handed && !w->stop)
            pthread_cond_wait(&w->handed, &w->lock);
        if (w->n_done == w->n_handed) break;
        const job next = w->job[w->n_done % REEL_WORKER_JOBS];
        pthread_mutex_unlock(&w->lock);
        next.run(next.context);
        pthread_mutex_lock(&w->lock);
        w->n_done++;
        pthread_cond_broadcast(&w->done);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

reel_status reel_worker_new(reel_env *env, reel_worker **worker) {
    reel_worker *w = reel_calloc(env, 1, sizeof *w, "worker");
    if (!w) return REEL_E_NOMEM;
    w->env = env;
    /* as in threads.c: none of these can fail on Linux with default attributes */
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->handed, NULL);
    pthread_cond_init(&w->done, NULL);
    w->started =
        !reel_fault_due(&env->faults.thread_at) && pthread_create(&w->thread, NULL, work, w) == 0;
    *worker = w;
    return REEL_OK;
}

void reel_worker_free(reel_worker **worker) {
    reel_worker *w = *worker;
    if (!w) return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_signal(&w->handed);
    pthread_mutex_unlock(&w->lock);
    if (w->started) pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->done);
    pthread_cond_destroy(&w->handed);
    pthread_mutex_destroy(&w->lock);
    reel_free(w->env, w);
    *worker = NULL;
}

bool reel_worker_push(reel_worker *w, void (*run)(void *context), void *context, int64_t *number) {
    pthread_mutex_lock(&w->lock);
    const bool room = w->n_handed - w->n_done < REEL_WORKER_JOBS;
    if (room) {
        *number = w->n_handed;
        w->job[w->n_handed++ % REEL_WORKER_JOBS] = (job){run, context};
        pthread_cond_signal(&w->handed);
    }
    pthread_mutex_unlock(&w->lock);
    if (room && !w->started) { /* nobody else will */
        run(context);
        w->n_done++;
    }
    return room;
}

bool reel_worker_is_done(reel_worker *w, int64_t number) {
    pthread_mutex_lock(&w->lock);
    const bool done = w->n_done > number;
    pthread_mutex_unlock(&w->lock);
    return done;
}

void reel_worker_wait(reel_worker *w, int64_t number) {
    pthread_mutex_lock(&w->lock);
    while (w->n_done <= number)
        pthread_cond_wait(&w->done, &w->lock);
    pthread_mutex_unlock(&w->lock);
}
