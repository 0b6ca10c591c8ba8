#include "base/env.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LOG_BYTES = 2048 };

reel_env_options reel_env_options_default(void) {
    return (reel_env_options){.n_threads = 0, .log = NULL, .log_max = REEL_LOG_INFO};
}

/* The environment itself and the pool come from libc's malloc: they outlive every block of the
 * tagged allocator, so allocator.bytes is 0 exactly when nothing made from the environment lives.
 */
reel_status reel_env_new(const reel_env_options *options, reel_env **env) {
    const reel_env_options used = options ? *options : reel_env_options_default();
    if (used.n_threads < 0 || used.n_threads > 256) return REEL_E_ARG;
    reel_env *made = calloc(1, sizeof *made);
    if (!made) return REEL_E_NOMEM;
    made->log = used.log;
    made->log_context = used.log_context;
    made->log_max = used.log_max;
    if (pthread_mutex_init(&made->message_lock, NULL) != 0) {
        free(made);
        return REEL_E_NOMEM;
    }
    reel_status status = reel_allocator_init(&made->allocator);
    if (status != REEL_OK) {
        pthread_mutex_destroy(&made->message_lock);
        free(made);
        return status;
    }
    status = reel_threads_new(made, used.n_threads, &made->threads);
    if (status != REEL_OK) {
        reel_env_free(&made);
        return status;
    }
    *env = made;
    return REEL_OK;
}

void reel_env_free(reel_env **env) {
    if (!env || !*env) return;
    reel_env *dead = *env;
    *env = NULL;
    reel_threads_free(&dead->threads);
    if (dead->allocator.bytes != 0)
        reel_log(dead, REEL_LOG_WARN, "environment freed while %lld bytes are still held",
                 (long long)dead->allocator.bytes);
    reel_allocator_deinit(&dead->allocator);
    pthread_mutex_destroy(&dead->message_lock);
    free(dead);
}

const char *reel_env_message(const reel_env *env) {
    return env->message;
}

void reel_env_clear(reel_env *env) {
    pthread_mutex_lock(&env->message_lock);
    env->status = REEL_OK;
    env->message[0] = '\0';
    pthread_mutex_unlock(&env->message_lock);
}

/* Messages quote names out of files. A newline or a terminal's escape sequence in one of them must
 * not reach the reader's terminal or log. */
static void blank_controls(char *text) {
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f) *text = '?';
}

reel_status reel_fail(reel_env *env, reel_status status, const char *format, ...) {
    pthread_mutex_lock(&env->message_lock);
    if (env->status == REEL_OK) {
        env->status = status;
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(env->message, sizeof env->message, format, arguments);
        va_end(arguments);
        blank_controls(env->message);
    }
    pthread_mutex_unlock(&env->message_lock);
    return status;
}

void reel_fail_within(reel_env *env, const char *format, ...) {
    char prefix[REEL_MESSAGE_BYTES / 2];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(prefix, sizeof prefix, format, arguments);
    va_end(arguments);
    blank_controls(prefix);
    pthread_mutex_lock(&env->message_lock);
    if (env->status != REEL_OK) {
        /* Shift the message right by the prefix; what does not fit is lost at the end, because the
         * outermost place is what the reader looks for first. */
        const size_t n_prefix = strlen(prefix);
        const size_t head = n_prefix + 2;
        size_t n_message = strlen(env->message);
        if (head + n_message >= sizeof env->message) n_message = sizeof env->message - head - 1;
        memmove(env->message + head, env->message, n_message);
        memcpy(env->message, prefix, n_prefix);
        memcpy(env->message + n_prefix, ": ", 2);
        env->message[head + n_message] = '\0';
    }
    pthread_mutex_unlock(&env->message_lock);
}

void reel_log(const reel_env *env, reel_log_level level, const char *format, ...) {
    if (!env->log || level > env->log_max) return;
    char line[MAX_LOG_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    env->log(env->log_context, level, line);
}

bool reel_fault_due(int64_t *countdown) {
    if (*countdown == 0) return false;
    if (*countdown == 1) return true; /* stays at 1: every later call fails too */
    --*countdown;
    return false;
}

const char *reel_status_name(reel_status status) {
    static const char *const name[] = {
        [REEL_OK] = "ok",
        [REEL_E_ARG] = "argument",
        [REEL_E_SHAPE] = "shape",
        [REEL_E_NOMEM] = "memory",
        [REEL_E_IO] = "io",
        [REEL_E_FORMAT] = "format",
        [REEL_E_UNSUPPORTED] = "unsupported",
        [REEL_E_CANCELLED] = "cancelled",
    };
    const size_t i = (size_t)status;
    return i < sizeof name / sizeof name[0] ? name[i] : "unknown";
}

const char *reel_version(void) {
    return REEL_VERSION;
}
