/* Questions: what a judge is asked about a clip of the world, and the true answers.
 *
 * Each attribute of object 0 and of the scene is a question of its own name; then what object 1 is
 * ("kind_1", "color_1") and how many objects there are ("objects"). A question that does not apply
 * (object 1 of a scene of one) has no answer.
 */
#ifndef REEL_DATA_QUESTIONS_H
#define REEL_DATA_QUESTIONS_H

#include "data/source.h"
#include "world/world.h"

enum {
    REEL_QUESTION_KIND_1 = REEL_ATTRIBUTE_COUNT,
    REEL_QUESTION_COLOR_1,
    REEL_QUESTION_OBJECTS, /* answer 0: one object */
    REEL_QUESTION_COUNT,
    REEL_NO_ANSWER = -1,
};

/* Its name, how many answers it has, and the name of one. Static storage. */
const char *reel_question_name(int question);
int reel_question_answers(int question);
const char *reel_question_answer_name(int question, int answer);

/* The true answer of complete attributes, or REEL_NO_ANSWER. */
int reel_question_answer(const reel_attributes *attributes, int question);

/* What is true of clip `index`. Errors as of reel_scene_sample. */
REEL_MUST_USE reel_status reel_world_source_truth(reel_env *env, const reel_world_source *source,
                                                  int64_t index, const reel_bucket *size,
                                                  reel_attributes *attributes);

#endif
