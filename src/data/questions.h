/* Questions: what a judge is asked about a clip of the world, and the true answers.
 *
 * Each attribute of object 0 and of the scene is a question of its own name; then what object 1 is
 * ("kind_1", "color_1") and how many objects there are ("objects"). Which object is the first is
 * the caption's choice: who moves, who is on the left. So that all objects can be asked for without
 * it, there is a question for each color as well: what is red ("kind_of_red")? A question that does
 * not apply (object 1 of a scene of one, a color that objects of two kinds have) has no answer.
 */
#ifndef REEL_DATA_QUESTIONS_H
#define REEL_DATA_QUESTIONS_H

#include "data/source.h"
#include "world/world.h"

enum {
    REEL_QUESTION_KIND_1 = REEL_ATTRIBUTE_COUNT,
    REEL_QUESTION_COLOR_1,
    REEL_QUESTION_OBJECTS, /* answer 0: one object */
    REEL_QUESTION_COUNT,   /* of the questions about the first object, the second, the scene */
    REEL_QUESTION_KIND_OF = REEL_QUESTION_COUNT, /* + a color; answer 0: nothing, then the kinds */
    REEL_QUESTION_ALL = REEL_QUESTION_KIND_OF + REEL_COLOR_COUNT,
    REEL_NO_ANSWER = -1,
};

/* Its name, how many answers it has, and the name of one. Static storage. */
const char *reel_question_name(int question);
int reel_question_answers(int question);
const char *reel_question_answer_name(int question, int answer);

/* The true answer of complete attributes, or REEL_NO_ANSWER. */
int reel_question_answer(const reel_attributes *attributes, int question);

/* Whether a clip with such a truth may be shown in a mirror: nothing is left of something, since
 * right of is not among the answers. */
bool reel_question_mirrors(const reel_attributes *attributes);
/* The answer when left and right are exchanged. */
int reel_question_mirrored(int question, int answer);

/* What is true of clip `index`. Errors as of reel_scene_sample. */
REEL_MUST_USE reel_status reel_world_source_truth(reel_env *env, const reel_world_source *source,
                                                  int64_t index, const reel_bucket *size,
                                                  reel_attributes *attributes);

#endif
