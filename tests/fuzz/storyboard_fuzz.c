/* Any bytes as a storyboard, in either form: a refusal that names a line, or scenes in which every
 * number is in range and every text is sound.
 */
#include "fuzz.h"

#include <string.h>

#include "base/env.h"
#include "text/storyboard.h"
#include "text/unicode.h"

static void check_text(const char *text) {
    PROMISE(text && text[0]);
    PROMISE(reel_utf8_sound(text, (int64_t)strlen(text)));
}

static void check_shot(const reel_story_scene *s) {
    check_text(s->prompt);
    PROMISE(s->n_cards >= 0 && s->n_cards <= REEL_STORY_CARDS);
    for (int i = 0; i < s->n_cards; i++) {
        const reel_story_card *c = &s->card[i];
        PROMISE(c->at_s >= 0 && c->at_s < s->seconds);
        PROMISE(i == 0 || c->at_s >= s->card[i - 1].at_s);
        check_text(c->text);
    }
}

static void check(const reel_story *story) {
    PROMISE(story->n_scenes >= 1 && story->n_scenes <= REEL_STORY_SCENES);
    PROMISE((story->width == 0) == (story->height == 0));
    for (int i = 0; i < story->n_scenes; i++) {
        const reel_story_scene *s = &story->scene[i];
        PROMISE(s->line >= 1 && s->seed >= 0);
        PROMISE(s->seconds > 0 && s->seconds <= REEL_STORY_SECONDS);
        PROMISE(s->fade_s >= 0 && s->fade_s <= REEL_STORY_LONGEST_FADE);
        if (s->title)
            check_text(s->title);
        else
            check_shot(s);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    reel_env *env;
    reel_arena arena;
    reel_story story;
    reel_env_options options = reel_env_options_default();
    options.n_threads = 1;
    if (reel_env_new(&options, &env) != REEL_OK) return 0;
    reel_arena_init(&arena, env, 1 << 14, "fuzz");
    const reel_status status =
        reel_story_parse(env, &arena, "s", (const char *)data, (int64_t)size, &story);
    PROMISE(status == REEL_OK || status == REEL_E_FORMAT);
    if (status == REEL_OK)
        check(&story);
    else
        PROMISE(strncmp(reel_env_message(env), "s:", 2) == 0);
    reel_arena_deinit(&arena);
    reel_env_free(&env);
    return 0;
}
