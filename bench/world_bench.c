/* The procedural world: clips a second of one thread and of all, at the sizes training takes. */
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "world/caption.h"
#include "world/render.h"

enum { N_SCENES = 24 };

typedef struct world_case {
    reel_env *env;
    reel_view view;
    reel_scene scene[N_SCENES];
    uint8_t *rgb;
    uint64_t next; /* draws other scenes each time */
} world_case;

static void draw_scenes(void *context) {
    world_case *c = context;
    for (int i = 0; i < N_SCENES; i++) {
        reel_scene_options o = reel_scene_options_default();
        o.index = c->next++;
        char text[REEL_CAPTION_BYTES];
        const reel_caption_request request = {REEL_ENGLISH, REEL_CAPTION_ANY, o.index};
        if (reel_scene_sample(c->env, &o, &c->scene[i]) != REEL_OK) continue;
        reel_scene_caption(&c->scene[i], &request, text, sizeof text, NULL);
    }
}

static void render_scenes(void *context) {
    world_case *c = context;
    for (int i = 0; i < N_SCENES; i++)
        if (reel_scene_render(c->env, &c->scene[i], &c->view, c->rgb, NULL, NULL) != REEL_OK)
            abort();
}

static void print_case(const char *what, const reel_view *v, bench_time time) {
    printf("  %-18s %2d x %3d x %3d  %8.2f ms a clip (median %.2f)  %7.1f clips/s\n", what,
           v->frames, v->height, v->width, time.best_s / N_SCENES * 1e3,
           time.median_s / N_SCENES * 1e3, N_SCENES / time.best_s);
}

static void run_size(bench *b, reel_env *one, int size, int frames) {
    world_case *c = calloc(1, sizeof *c);
    uint8_t *rgb = malloc((size_t)size * (size_t)size * (size_t)frames * 3);
    if (!c || !rgb) abort();
    *c = (world_case){.env = one, .view = {size, size, frames, 16.0f, 0.0f}, .rgb = rgb};
    print_case("scene and caption", &c->view, bench_measure(b, draw_scenes, c));
    c->next = 0;
    draw_scenes(c); /* always the same to render */
    print_case("render, 1 thread", &c->view, bench_measure(b, render_scenes, c));
    c->env = b->env;
    if (b->n_threads > 1) print_case("render, all", &c->view, bench_measure(b, render_scenes, c));
    free(rgb);
    free(c);
}

void bench_world(bench *b) {
    reel_env_options options = reel_env_options_default();
    options.n_threads = 1;
    reel_env *one = NULL;
    if (reel_env_new(&options, &one) != REEL_OK) abort();
    printf("\nworld: %d scenes of the training split, seed 1\n", N_SCENES);
    run_size(b, one, 64, 17);
    run_size(b, one, 128, 33);
    reel_env_free(&one);
}
