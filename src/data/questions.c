#include "data/questions.h"

static reel_attribute attribute_of(int question) {
    if (question == REEL_QUESTION_KIND_1) return REEL_ATTRIBUTE_KIND;
    if (question == REEL_QUESTION_COLOR_1) return REEL_ATTRIBUTE_COLOR;
    return (reel_attribute)question;
}

const char *reel_question_name(int question) {
    if (question == REEL_QUESTION_KIND_1) return "kind_1";
    if (question == REEL_QUESTION_COLOR_1) return "color_1";
    if (question == REEL_QUESTION_OBJECTS) return "objects";
    return reel_attribute_name((reel_attribute)question);
}

int reel_question_answers(int question) {
    if (question == REEL_QUESTION_OBJECTS) return REEL_WORLD_MAX_OBJECTS;
    return reel_attribute_values(attribute_of(question));
}

const char *reel_question_answer_name(int question, int answer) {
    static const char *const counts[] = {"one", "two", "three"};
    if (question == REEL_QUESTION_OBJECTS) return counts[answer];
    return reel_attribute_value_name(attribute_of(question), answer);
}

int reel_question_answer(const reel_attributes *a, int question) {
    if (question == REEL_QUESTION_OBJECTS) return a->n_objects - 1;
    const bool second = question == REEL_QUESTION_KIND_1 || question == REEL_QUESTION_COLOR_1;
    if (a->n_objects < 2 && (second || question == REEL_ATTRIBUTE_RELATION)) return REEL_NO_ANSWER;
    const int answer = reel_attributes_get(a, attribute_of(question), second ? 1 : 0);
    return answer == REEL_ANY ? REEL_NO_ANSWER : answer;
}
