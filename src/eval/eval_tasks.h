/* What the files that measure tasks share. Included by nobody else.
 *
 * Each measurement takes held-out prompts of one object, renders what a task is given, makes the
 * rest of it as `reel animate`, `extend` and so on do, through files, and reads what came of it.
 */
#ifndef REEL_EVAL_EVAL_TASKS_H
#define REEL_EVAL_EVAL_TASKS_H

#include "eval/clip_file.h"
#include "eval/eval_state.h"
#include "pipeline/generate.h"

enum { REEL_TASKS_PATH = 4096 };

typedef struct reel_tasks {
    reel_eval *e;
    char folder[REEL_TASKS_PATH - 64]; /* of the clips */
    bool keeps;                        /* somebody wants them */
    uint8_t *made, *real;              /* [2F,H,W,3] each: clips longer than the evaluation's */
} reel_tasks;

/* One measurement each; rows are added to the report. */
REEL_MUST_USE reel_status reel_tasks_animate(reel_tasks *t);
REEL_MUST_USE reel_status reel_tasks_extend(reel_tasks *t);
REEL_MUST_USE reel_status reel_tasks_connect(reel_tasks *t);
REEL_MUST_USE reel_status reel_tasks_loop(reel_tasks *t);
REEL_MUST_USE reel_status reel_tasks_edit(reel_tasks *t);
REEL_MUST_USE reel_status reel_tasks_drift(reel_tasks *t);

/* Prompt i, whose scene is laid out for `frames` frames; told where the measurement stands. */
REEL_MUST_USE reel_status reel_tasks_prompt(reel_tasks *t, const char *part, int64_t i, int64_t n,
                                            int64_t frames, reel_prompt *prompt);
/* Its scene, `frames` of the evaluation's size, into rgb. */
REEL_MUST_USE reel_status reel_tasks_render(reel_tasks *t, const reel_prompt *prompt,
                                            int64_t frames, uint8_t *rgb);
/* The evaluation's size with another number of frames. */
reel_bucket reel_tasks_size(const reel_tasks *t, int64_t frames);
/* FOLDER/i-name.extension */
void reel_tasks_path(const reel_tasks *t, int64_t i, const char *name, char path[REEL_TASKS_PATH]);
/* Writes frames to such a path, which is given back. */
REEL_MUST_USE reel_status reel_tasks_write(reel_tasks *t, int64_t i, const char *name,
                                           int64_t frames, const uint8_t *rgb,
                                           char path[REEL_TASKS_PATH]);

/* Makes the request for prompt i, but for the fields every task has the same, into a file of that
 * name, and reads it: it must have `frames` frames, unless rgb is NULL. */
REEL_MUST_USE reel_status reel_tasks_make(reel_tasks *t, reel_generate_request *request, int64_t i,
                                          const char *name, int64_t frames, uint8_t *rgb);
/* Removes the clips of a prompt that is done with, unless they are kept. */
REEL_MUST_USE reel_status reel_tasks_clear(reel_tasks *t);

/* A row of the section "tasks". real below 0 (shares) or NaN: there is none. */
REEL_MUST_USE reel_status reel_tasks_share(reel_tasks *t, const char *group, const char *name,
                                           int64_t right, int64_t real, int64_t n);
REEL_MUST_USE reel_status reel_tasks_value(reel_tasks *t, const char *group, const char *name,
                                           double value, double real, int64_t n);

/* Answers of the judge to what a prompt says. */
typedef struct reel_tasks_score {
    int64_t right, asked;
} reel_tasks_score;

/* Asks the judge about a clip of its size; score (may be NULL) counts what the prompt says, answer
 * (may be NULL) has REEL_JUDGE_QUESTIONS. */
REEL_MUST_USE reel_status reel_tasks_judge(reel_tasks *t, const reel_prompt *prompt,
                                           const uint8_t *rgb, reel_tasks_score *score,
                                           int32_t *answer);

#endif
