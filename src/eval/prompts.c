#include "eval/prompts.h"

#include "base/rng.h"
#include "world/render.h"
#include "world/split.h"

enum { TRIES = 512 }; /* one scene in twenty is held out */

const char *reel_prompt_group_name(reel_prompt_group group) {
    static const char *const names[] = {"one object", "two objects", "held-out pairs",
                                        "chinese",    "falling",     "passing behind"};
    return names[group];
}

reel_prompt_group reel_prompt_group_of(int64_t i) {
    static const reel_prompt_group turn[] = {REEL_PROMPTS_ONE, REEL_PROMPTS_TWO,
                                             REEL_PROMPTS_ONE, REEL_PROMPTS_PAIR,
                                             REEL_PROMPTS_ONE, REEL_PROMPTS_CHINESE};
    return turn[i % (int64_t)(sizeof turn / sizeof *turn)];
}

/* Scenes of the physics groups are asked for by attributes, so that what moves can be followed
 * (eval/track.h): matte, of medium size, in colors that no ground or sky has. Of those that come
 * out, one is taken that training did not see. */
static reel_status sample_physics(reel_env *env, reel_prompt_group group,
                                  reel_scene_options *options, reel_scene *scene) {
    reel_attributes a = reel_attributes_any();
    static const int colors[] = {REEL_COLOR_RED, REEL_COLOR_BLUE, REEL_COLOR_PURPLE,
                                 REEL_COLOR_PINK, REEL_COLOR_ORANGE};
    const bool falls = group == REEL_PROMPTS_FALL;
    const uint64_t color = options->index % (sizeof colors / sizeof *colors);
    reel_attributes_set(&a, REEL_ATTRIBUTE_COLOR, 0, colors[color]);
    reel_attributes_set(&a, REEL_ATTRIBUTE_MATERIAL, 0, REEL_MATERIAL_MATTE);
    reel_attributes_set(&a, REEL_ATTRIBUTE_SIZE, 0, REEL_SIZE_MEDIUM);
    a.n_objects = falls ? 1 : 2;
    a.weather = REEL_WEATHER_CLEAR;
    a.camera = REEL_CAMERA_STILL;
    reel_attributes_set(&a, REEL_ATTRIBUTE_MOTION, 0,
                        falls ? REEL_MOTION_FALL : REEL_MOTION_PASS_BEHIND);
    const uint64_t first = options->index * TRIES;
    for (uint64_t i = 0; i < TRIES; i++) {
        options->index = first + i;
        const reel_status status = reel_scene_from_attributes(env, options, &a, scene);
        if (status != REEL_OK) return status;
        const reel_attributes made = reel_scene_attributes(scene);
        if (reel_split_admits(REEL_SPLIT_VALIDATION, &made) && reel_scene_visible(scene))
            return REEL_OK;
    }
    return reel_fail(env, REEL_E_UNSUPPORTED, "no held-out scene came out of %d draws", TRIES);
}

reel_status reel_prompt_make(reel_env *env, reel_prompt_group group, uint64_t seed, int64_t index,
                             float duration_s, reel_prompt *prompt) {
    const bool pair = group == REEL_PROMPTS_PAIR;
    reel_scene_options options = {.seed = seed ^ reel_rng_stream(reel_prompt_group_name(group)),
                                  .index = (uint64_t)index,
                                  .split = pair ? REEL_SPLIT_HELDOUT_PAIRS : REEL_SPLIT_VALIDATION,
                                  .duration_s = duration_s,
                                  .n_objects = group == REEL_PROMPTS_TWO ? 2 : 1};
    const reel_status status = group >= REEL_PROMPTS_JUDGED
                                   ? sample_physics(env, group, &options, &prompt->scene)
                                   : reel_scene_sample(env, &options, &prompt->scene);
    if (status != REEL_OK) return status;
    prompt->caption = (reel_caption_request){
        group == REEL_PROMPTS_CHINESE ? REEL_CHINESE : REEL_ENGLISH, REEL_CAPTION_LONG,
        reel_rng_below(options.seed, reel_rng_stream("phrasing"), (uint64_t)index, 1 << 30)};
    prompt->group = group;
    prompt->truth = reel_scene_attributes(&prompt->scene);
    reel_caption_write(&prompt->truth, &prompt->caption, prompt->text, sizeof prompt->text,
                       &prompt->mentions);
    return REEL_OK;
}

reel_status reel_prompt_swap(reel_env *env, const reel_prompt *p, reel_attribute which,
                             reel_prompt *other, bool *differs) {
    const uint64_t n = (uint64_t)reel_attribute_values(which);
    const int from = (int)reel_rng_below(p->scene.seed, reel_rng_stream("swap"), p->scene.index, n);
    *other = *p;
    *differs = reel_caption_swap(&p->truth, which, from, &p->caption, other->text, &other->truth);
    if (!*differs) return REEL_OK;
    reel_caption_write(&other->truth, &p->caption, other->text, sizeof other->text,
                       &other->mentions);
    reel_scene_options options = {.seed = p->scene.seed, .duration_s = p->scene.duration_s};
    for (uint64_t i = 0; i < TRIES; i++) {
        options.index = p->scene.index * TRIES + i;
        const reel_status status =
            reel_scene_from_attributes(env, &options, &other->truth, &other->scene);
        if (status != REEL_OK || reel_scene_visible(&other->scene)) return status;
    }
    return reel_fail(env, REEL_E_UNSUPPORTED, "no scene can be seen of %d draws of: %s", TRIES,
                     other->text);
}

int reel_prompt_answer(const reel_prompt *p, int question) {
    const int second =
        question == REEL_QUESTION_KIND_1 || question == REEL_QUESTION_COLOR_1 ? 1 : 0;
    int attribute = question;
    if (question == REEL_QUESTION_KIND_1) attribute = REEL_ATTRIBUTE_KIND;
    if (question == REEL_QUESTION_COLOR_1) attribute = REEL_ATTRIBUTE_COLOR;
    const uint32_t said =
        attribute < REEL_OBJECT_ATTRIBUTES ? p->mentions.object[second] : p->mentions.scene;
    if (question != REEL_QUESTION_OBJECTS && !(said >> attribute & 1)) return REEL_NO_ANSWER;
    return reel_question_answer(&p->truth, question);
}

bool reel_prompt_found(const reel_prompt *p, const int32_t *answer, bool *colors, bool *objects) {
    const uint32_t both = 1u << REEL_ATTRIBUTE_KIND | 1u << REEL_ATTRIBUTE_COLOR;
    *colors = *objects = true;
    for (int i = 0; i < p->truth.n_objects; i++) {
        const int q = REEL_QUESTION_KIND_OF + p->truth.object[i][REEL_ATTRIBUTE_COLOR];
        const int truth = reel_question_answer(&p->truth, q);
        if ((p->mentions.object[i] & both) != both || truth == REEL_NO_ANSWER) return false;
        *colors = *colors && answer[q] != 0;
        *objects = *objects && answer[q] == truth;
    }
    return p->truth.n_objects > 1;
}

reel_status reel_prompt_render(reel_env *env, const reel_prompt *prompt, const reel_bucket *size,
                               float fps, uint8_t *rgb) {
    const reel_view view = {.width = (int)size->width,
                            .height = (int)size->height,
                            .frames = (int)size->frames,
                            .fps = fps};
    return reel_scene_render(env, &prompt->scene, &view, rgb, NULL, NULL);
}
