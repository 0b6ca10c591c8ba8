/* The prompts of an evaluation: scenes of the world that nobody trained on, in words.
 *
 * A prompt is a scene's long caption, so that nearly everything is said; what was said is recorded,
 * since a model is only asked for that. The scene itself, rendered, is the real clip of the prompt.
 */
#ifndef REEL_EVAL_PROMPTS_H
#define REEL_EVAL_PROMPTS_H

#include "data/questions.h"
#include "world/caption.h"

typedef enum reel_prompt_group {
    REEL_PROMPTS_ONE,     /* one object, a held-out combination, English */
    REEL_PROMPTS_TWO,     /* two objects, likewise */
    REEL_PROMPTS_PAIR,    /* one object of a kind and color never trained on together */
    REEL_PROMPTS_CHINESE, /* one object, a held-out combination, Chinese */
    REEL_PROMPTS_FALL,    /* one falling object before a still camera in clear weather */
    REEL_PROMPTS_BEHIND,  /* an object passes behind another, likewise */
    REEL_PROMPTS_COUNT,
    REEL_PROMPTS_JUDGED = REEL_PROMPTS_FALL, /* the groups before this one are for the judge */
} reel_prompt_group;

/* "one object", "two objects", "held-out pairs", "chinese", "falling", "passing behind". Static. */
const char *reel_prompt_group_name(reel_prompt_group group);

/* Of n judged prompts, prompt i belongs to this group: half to ONE, the rest in turn. */
reel_prompt_group reel_prompt_group_of(int64_t i);

typedef struct reel_prompt {
    reel_prompt_group group;
    reel_scene scene;
    reel_attributes truth;
    reel_caption_request caption; /* what the text is the answer to */
    reel_mentions mentions;
    char text[REEL_CAPTION_BYTES];
} reel_prompt;

/* Prompt `index` of a group: a function of (seed, group, index, duration). */
REEL_MUST_USE reel_status reel_prompt_make(reel_env *env, reel_prompt_group group, uint64_t seed,
                                           int64_t index, float duration_s, reel_prompt *prompt);

/* The prompt with the value of one attribute (of object 0, or of the scene) exchanged for another
 * that makes sense, in the same phrasing, with a scene where that is true; *differs is false, and
 * other may be anything, when there is none. */
REEL_MUST_USE reel_status reel_prompt_swap(reel_env *env, const reel_prompt *prompt,
                                           reel_attribute which, reel_prompt *other, bool *differs);

/* The true answer to a question of data/questions.h, REEL_NO_ANSWER where the prompt does not say
 * it. */
int reel_prompt_answer(const reel_prompt *prompt, int question);

/* Whether the objects that a prompt of several names are there, whichever of them a judge takes for
 * the first: *colors, something of each color; *objects, in each color what the prompt says. answer
 * [REEL_QUESTION_ALL]. False, when that cannot be asked: one object, something left open, or two
 * kinds of one color. */
bool reel_prompt_found(const reel_prompt *prompt, const int32_t *answer, bool *colors,
                       bool *objects);

/* The real clip: u8 [F,H,W,3]. */
REEL_MUST_USE reel_status reel_prompt_render(reel_env *env, const reel_prompt *prompt,
                                             const reel_bucket *size, float fps, uint8_t *rgb);

#endif
