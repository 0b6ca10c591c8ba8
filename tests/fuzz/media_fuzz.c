/* Any bytes as a video or picture: a refusal with a message, or frames of the size that was told.
 * Our own walk over the containers is instrumented; FFmpeg, which is the system's, is not, but what
 * it reads and writes of our memory is checked all the same.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "media/container.h"
#include "media/video_reader.h"

enum { MAX_PIXELS = 1 << 18, MAX_FRAMES = 6 };

static void try_container(reel_env *env, const uint8_t *data, int64_t bytes) {
    const reel_container c = reel_container_look(data, bytes);
    PROMISE(c.width >= 0 && c.height >= 0);
    PROMISE(strlen(reel_container_name(c.kind)) > 0);
    char *comment = NULL;
    PROMISE(reel_container_comment(env, data, bytes, &comment) == REEL_OK);
    PROMISE(!comment || (int64_t)strlen(comment) < bytes);
    reel_free(env, comment);
}

static void try_frames(reel_video_reader *r) {
    int width = 0, height = 0;
    reel_video_reader_size(r, &width, &height);
    PROMISE(width > 0 && height > 0 && (int64_t)width * height <= MAX_PIXELS);
    uint8_t *pixels = malloc(3 * (size_t)width * (size_t)height);
    if (!pixels) return;
    int64_t n = 0;
    for (bool got = true; got;) {
        if (reel_video_reader_next(r, pixels, &got) != REEL_OK) break;
        n += got;
        PROMISE(n <= MAX_FRAMES);
    }
    free(pixels);
}

static void try_reader(reel_env *env, const uint8_t *data, int64_t bytes) {
    reel_reader_options options = reel_reader_options_default();
    options.max_pixels = MAX_PIXELS;
    options.max_frames = MAX_FRAMES;
    reel_video_reader *r = NULL;
    const reel_status status =
        reel_video_reader_open_memory(env, data, bytes, "fuzz", &options, &r);
    PROMISE((status == REEL_OK) == (r != NULL));
    PROMISE((status == REEL_OK) == (reel_env_message(env)[0] == '\0'));
    if (r) try_frames(r);
    reel_video_reader_close(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    reel_env_options options = reel_env_options_default();
    options.n_threads = 1;
    reel_env *env = NULL;
    if (reel_env_new(&options, &env) != REEL_OK) return 0;
    try_container(env, data, (int64_t)size);
    try_reader(env, data, (int64_t)size);
    PROMISE(env->allocator.bytes == 0);
    reel_env_free(&env);
    return 0;
}
