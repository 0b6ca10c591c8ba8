#include "text/storyboard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/path.h"
#include "text/storyboard_state.h"

static const double title_seconds = 2, shot_seconds = 4;
enum { FIRST_SEED = 1 };

/* ---- prompts ---- */

/* What is said of a shot: its words, the camera's move, the film's style. */
static reel_status make_prompt(const reel_raw_story *raw, const reel_raw_scene *scene,
                               reel_story_words words, const char **prompt) {
    const char *written, *style = NULL, *camera = reel_story_camera(scene->camera);
    reel_status status = reel_story_write_out(raw, words, &written);
    if (status == REEL_OK && raw->style.text)
        status = reel_story_write_out(raw, raw->style, &style);
    if (status != REEL_OK) return status;
    const char *made =
        reel_arena_printf(raw->arena, "%s%s%s%s%s", written, camera ? ", " : "",
                          camera ? camera : "", style ? ", " : "", style ? style : "");
    if (!made) return REEL_E_NOMEM;
    *prompt = made;
    return REEL_OK;
}

/* A path from the script's own folder. */
static reel_status make_path(const reel_raw_story *raw, const char *given, const char **path) {
    const char *slash = strrchr(raw->name, '/');
    const int folder = slash && given[0] != '/' ? (int)(slash + 1 - raw->name) : 0;
    const char *made = reel_arena_printf(raw->arena, "%.*s%s", folder, raw->name, given);
    if (!made) return REEL_E_NOMEM;
    *path = made;
    return REEL_OK;
}

/* ---- cards ---- */

static int by_time(const void *a, const void *b) {
    const reel_story_card *x = a, *y = b;
    if (x->at_s != y->at_s) return x->at_s < y->at_s ? -1 : 1;
    return x->line < y->line ? -1 : x->line > y->line;
}

static reel_status make_card(const reel_raw_story *raw, const reel_raw_scene *scene,
                             const reel_raw_card *from, double seconds, reel_story_card *card) {
    const int n =
        (from->text.text != NULL) + (from->image.text != NULL) + (from->clip.text != NULL);
    if (n != 1)
        return reel_story_fail(raw, from->line, "a card has %d of text, image and clip, wanted one",
                               n);
    if (from->at_s < 0)
        return reel_story_fail(raw, from->line,
                               "a card has no 'at', wanted seconds from the "
                               "beginning of its shot");
    if (from->at_s >= seconds)
        return reel_story_fail(raw, from->line, "the card is at %g s, but its shot ends at %g s",
                               from->at_s, seconds);
    *card = (reel_story_card){.line = from->line, .at_s = from->at_s};
    if (from->text.text) return make_prompt(raw, scene, from->text, &card->text);
    card->kind = from->image.text ? REEL_STORY_IMAGE : REEL_STORY_CLIP;
    return make_path(raw, from->image.text ? from->image.text : from->clip.text, &card->text);
}

static reel_status check_cards(const reel_raw_story *raw, const reel_story_scene *scene) {
    for (int i = 1; i < scene->n_cards; i++) {
        const reel_story_card *a = &scene->card[i - 1], *b = &scene->card[i];
        const bool both = (a->kind == REEL_STORY_WORDS) == (b->kind == REEL_STORY_WORDS);
        if (both && a->at_s == b->at_s)
            return reel_story_fail(raw, b->line, "the card is at %g s, as that on line %d is",
                                   b->at_s, a->line);
    }
    return REEL_OK;
}

/* The first words at 0 are the prompt, when the shot has no other. */
static reel_status take_prompt(const reel_raw_story *raw, const reel_raw_scene *from,
                               reel_story_scene *scene, reel_story_card *card) {
    int at = 0;
    while (at < scene->n_cards && (card[at].kind != REEL_STORY_WORDS || card[at].at_s > 0))
        at++;
    const bool has_words = at < scene->n_cards;
    if (from->prompt.text && has_words)
        return reel_story_fail(raw, card[at].line,
                               "the card is at 0 s, where the shot's prompt on line %d is",
                               from->prompt.line);
    if (from->prompt.text) return make_prompt(raw, from, from->prompt, &scene->prompt);
    if (!has_words)
        return reel_story_fail(raw, from->line,
                               "a shot needs a prompt, or a card with text at 0 s");
    scene->prompt = card[at].text;
    memmove(card + at, card + at + 1, (size_t)(scene->n_cards - at - 1) * sizeof *card);
    scene->n_cards--;
    return REEL_OK;
}

static reel_status make_shot(const reel_raw_story *raw, const reel_raw_scene *from,
                             reel_story_scene *scene) {
    reel_story_card *card = reel_arena_calloc(raw->arena, from->n_cards + 1, sizeof *card);
    if (!card) return REEL_E_NOMEM;
    scene->card = card;
    scene->n_cards = from->n_cards;
    for (int i = 0; i < from->n_cards; i++) {
        const reel_status status = make_card(raw, from, &from->card[i], scene->seconds, &card[i]);
        if (status != REEL_OK) return status;
    }
    qsort(card, (size_t)scene->n_cards, sizeof *card, by_time);
    const reel_status status = check_cards(raw, scene);
    return status == REEL_OK ? take_prompt(raw, from, scene, card) : status;
}

/* ---- scenes ---- */

static reel_status make_scene(const reel_raw_story *raw, const reel_raw_scene *from,
                              reel_story_scene *scene) {
    *scene = (reel_story_scene){.line = from->line,
                                .seed = from->seed >= 0 ? from->seed : raw->seed,
                                .begin = from->how.begin,
                                .fade_s = from->how.fade_s};
    const bool is_title = from->title.text != NULL;
    scene->seconds = from->seconds > 0  ? from->seconds
                     : is_title         ? title_seconds
                     : raw->seconds > 0 ? raw->seconds
                                        : shot_seconds;
    if (!is_title) return make_shot(raw, from, scene);
    return reel_story_write_out(raw, from->title, &scene->title);
}

/* Fades must fit into both scenes, beside each other; only a shot goes on from a shot. */
static reel_status check_order(const reel_raw_story *raw, const reel_story_scene *scene, int n) {
    for (int i = 0; i < n; i++) {
        const reel_story_scene *s = &scene[i], *before = i ? &scene[i - 1] : NULL;
        const double behind = i + 1 < n ? scene[i + 1].fade_s : 0;
        if (s->begin == REEL_STORY_CONTINUE && (s->title || !before || before->title))
            return reel_story_fail(raw, s->line, "only a shot that stands behind a shot continues");
        if (s->fade_s + behind > s->seconds)
            return reel_story_fail(raw, s->line,
                                   "lasts %g s, but fades of %g s at its beginning and %g s at its "
                                   "end leave nothing of it",
                                   s->seconds, s->fade_s, behind);
    }
    return REEL_OK;
}

static reel_status make_story(reel_raw_story *raw, reel_story *story) {
    if (!raw->n_scenes) return reel_story_fail(raw, 1, "there is no shot, wanted one or more");
    reel_story_scene *scene = reel_arena_calloc(raw->arena, raw->n_scenes, sizeof *scene);
    if (!scene) return REEL_E_NOMEM;
    reel_story made = {.name = raw->name,
                       .width = raw->size[0],
                       .height = raw->size[1],
                       .fps = raw->fps,
                       .steps = raw->steps,
                       .cfg_scale = raw->cfg_scale,
                       .letterbox = raw->letterbox != 0,
                       .scene = scene,
                       .n_scenes = raw->n_scenes};
    reel_status status = reel_story_check_names(raw);
    if (status == REEL_OK && raw->negative.text)
        status = reel_story_write_out(raw, raw->negative, &made.negative_prompt);
    for (int i = 0; i < raw->n_scenes && status == REEL_OK; i++)
        status = make_scene(raw, &raw->scene[i], &scene[i]);
    if (status == REEL_OK) status = check_order(raw, scene, raw->n_scenes);
    if (status == REEL_OK) *story = made;
    return status;
}

/* ---- all of it ---- */

static bool is_json(const char *text, int64_t bytes) {
    int64_t i = 0;
    while (i < bytes && strchr(" \t\r\n", text[i]) && text[i])
        i++;
    return i < bytes && text[i] == '{';
}

reel_status reel_story_parse(reel_env *env, reel_arena *arena, const char *name, const char *text,
                             int64_t bytes, reel_story *story) {
    reel_raw_story raw = {.env = env,
                          .arena = arena,
                          .name = name,
                          .text = text,
                          .bytes = bytes,
                          .cfg_scale = -1,
                          .seed = FIRST_SEED};
    if (bytes > REEL_STORY_BYTES)
        return reel_story_fail(&raw, 1, "has %lld bytes, wanted at most %d", (long long)bytes,
                               REEL_STORY_BYTES);
    const reel_status status =
        is_json(text, bytes) ? reel_story_read_json(&raw) : reel_story_read_plain(&raw);
    return status == REEL_OK ? make_story(&raw, story) : status;
}

static reel_status check_files(reel_env *env, const reel_story *story) {
    for (int i = 0; i < story->n_scenes; i++)
        for (int k = 0; k < story->scene[i].n_cards; k++) {
            const reel_story_card *c = &story->scene[i].card[k];
            if (c->kind != REEL_STORY_WORDS && reel_path_look(c->text) != REEL_PATH_FILE)
                return reel_fail(env, REEL_E_IO, "%s:%d: %s: no such file", story->name, c->line,
                                 c->text);
        }
    return REEL_OK;
}

reel_status reel_story_read(reel_env *env, reel_arena *arena, const char *path, reel_story *story) {
    char *text;
    int64_t bytes;
    const char *name = reel_arena_strdup(arena, path);
    if (!name) return REEL_E_NOMEM;
    reel_status status = reel_file_read(env, path, REEL_STORY_BYTES, &text, &bytes);
    if (status != REEL_OK) return status;
    status = reel_story_parse(env, arena, name, text, bytes, story);
    reel_free(env, text);
    return status == REEL_OK ? check_files(env, story) : status;
}
