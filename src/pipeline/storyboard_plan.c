#include "pipeline/storyboard_plan.h"

#include <math.h>

#include "base/env.h"
#include "media/video_reader.h"

enum { MOST_CONTEXT = 2 /* latent frames besides the first that a piece goes on from */ };

typedef struct planner {
    reel_env *env;
    reel_arena *arena;
    const reel_story *story;
    double fps;
    reel_story_plan *plan;
} planner;

static reel_status fail(const planner *p, int line, const char *text, double seconds) {
    return reel_fail(p->env, REEL_E_FORMAT, "%s:%d: at %g frames a second %g s %s", p->story->name,
                     line, p->fps, seconds, text);
}

static int64_t frame_at(const planner *p, double seconds) {
    return (int64_t)rint(seconds * p->fps);
}

int64_t reel_story_frames(const reel_story_plan *plan, int64_t n) {
    return 1 + (n - 1 + plan->factor - 1) / plan->factor * plan->factor;
}

/* ---- what a piece knows ---- */

/* A clip card's stretch of frames within its shot: its file's length, as far as the shot goes. */
static reel_status clip_frames(const planner *p, const reel_story_card *card, int64_t *n) {
    reel_video_reader *reader = NULL;
    reel_status status = reel_video_reader_open(p->env, card->text, NULL, &reader);
    if (status == REEL_OK) status = reel_video_reader_count(reader, n);
    reel_video_reader_close(&reader);
    if (status != REEL_OK && status != REEL_E_NOMEM)
        reel_fail_within(p->env, "%s:%d", p->story->name, card->line);
    return status;
}

/* What cards say of frames [from, to) of the shot. */
static reel_status collect(const planner *p, const reel_story_scene *scene, int64_t from,
                           int64_t to, reel_story_piece *piece) {
    reel_keyframe *known = reel_arena_calloc(p->arena, scene->n_cards + 1, sizeof *known);
    if (!known) return REEL_E_NOMEM;
    piece->known = known;
    for (int i = 0; i < scene->n_cards; i++) {
        const reel_story_card *c = &scene->card[i];
        const int64_t at = frame_at(p, c->at_s);
        reel_keyframe k = {.frame = at - from, .path = c->text};
        if (c->kind == REEL_STORY_WORDS || at >= to) continue;
        if (c->kind == REEL_STORY_IMAGE && at < from) continue;
        if (c->kind == REEL_STORY_CLIP) {
            int64_t length = 0;
            const reel_status status = clip_frames(p, c, &length);
            if (status != REEL_OK) return status;
            const int64_t first = at > from ? at : from, end = at + length < to ? at + length : to;
            k = (reel_keyframe){
                .frame = first - from, .path = c->text, .from = first - at, .n = end - first};
            /* what is left of it behind a change of words may be too little to be shown */
            if (end <= first || (first > at && k.n < p->plan->factor)) continue;
        }
        known[piece->n_known++] = k;
    }
    return REEL_OK;
}

/* ---- pieces ---- */

/* Frames of the piece before that one goes on from: as many whole latents as it has, up to three.
 */
static int64_t context_of(const planner *p, const reel_story_piece *before) {
    const int64_t all = before->context + before->n, factor = p->plan->factor;
    const int64_t latents = (all - 1) / factor < MOST_CONTEXT ? (all - 1) / factor : MOST_CONTEXT;
    return 1 + latents * factor;
}

static reel_status add_piece(planner *p, int scene, int line, const char *prompt, int64_t from,
                             int64_t to, bool goes_on) {
    const reel_story_scene *s = &p->story->scene[scene];
    reel_story_piece *piece = &p->plan->piece[p->plan->n_pieces];
    *piece = (reel_story_piece){
        .line = line, .scene = scene, .prompt = prompt, .seed = s->seed, .n = to - from};
    if (goes_on) piece->context = context_of(p, piece - 1);
    p->plan->n_pieces++;
    return collect(p, s, from, to, piece);
}

/* A shot's pieces: each begins where the words change. */
static reel_status add_shot(planner *p, int scene) {
    const reel_story_scene *s = &p->story->scene[scene];
    const int64_t frames = p->plan->frames[scene];
    const char *prompt = s->prompt;
    int line = s->line;
    int64_t from = 0;
    bool goes_on = s->begin == REEL_STORY_CONTINUE;
    for (int i = 0; i < s->n_cards; i++) {
        const reel_story_card *c = &s->card[i];
        const int64_t at = frame_at(p, c->at_s);
        if (at >= frames) return fail(p, c->line, "is behind the last frame of the shot", c->at_s);
        if (c->kind != REEL_STORY_WORDS) continue;
        if (at <= from)
            return fail(p, c->line, "is not one frame behind the words before", c->at_s);
        const reel_status status = add_piece(p, scene, line, prompt, from, at, goes_on);
        if (status != REEL_OK) return status;
        prompt = c->text;
        line = c->line;
        from = at;
        goes_on = true;
    }
    return add_piece(p, scene, line, prompt, from, frames, goes_on);
}

/* ---- scenes ---- */

static reel_status measure(planner *p) {
    const int n = p->story->n_scenes;
    for (int i = 0; i < n; i++) {
        const reel_story_scene *s = &p->story->scene[i];
        p->plan->frames[i] = frame_at(p, s->seconds);
        if (p->plan->frames[i] < 1) return fail(p, s->line, "is not one frame", s->seconds);
        p->plan->fade[i] = frame_at(p, s->fade_s);
    }
    for (int i = 0; i < n; i++) {
        const int64_t behind = i + 1 < n ? p->plan->fade[i + 1] : 0;
        if (p->plan->fade[i] + behind > p->plan->frames[i])
            return fail(p, p->story->scene[i].line, "is too short for the fades at its ends",
                        p->story->scene[i].seconds);
    }
    return REEL_OK;
}

reel_status reel_story_plan_make(reel_env *env, reel_arena *arena, const reel_story *story,
                                 double fps, int64_t factor, reel_story_plan *plan) {
    planner p = {.env = env, .arena = arena, .story = story, .fps = fps, .plan = plan};
    int64_t most = 0;
    for (int i = 0; i < story->n_scenes; i++)
        most += 1 + story->scene[i].n_cards;
    *plan =
        (reel_story_plan){.factor = factor,
                          .piece = reel_arena_calloc(arena, most, sizeof *plan->piece),
                          .frames = reel_arena_calloc(arena, story->n_scenes, sizeof *plan->frames),
                          .fade = reel_arena_calloc(arena, story->n_scenes, sizeof *plan->fade)};
    if (!plan->piece || !plan->frames || !plan->fade) return REEL_E_NOMEM;
    reel_status status = measure(&p);
    for (int i = 0; i < story->n_scenes && status == REEL_OK; i++)
        if (!story->scene[i].title) status = add_shot(&p, i);
    return status;
}
