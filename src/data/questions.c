#include "data/questions.h"

static bool is_kind_of(int question) {
    return question >= REEL_QUESTION_KIND_OF;
}

static reel_attribute attribute_of(int question) {
    if (question == REEL_QUESTION_KIND_1) return REEL_ATTRIBUTE_KIND;
    if (question == REEL_QUESTION_COLOR_1) return REEL_ATTRIBUTE_COLOR;
    return (reel_attribute)question;
}

const char *reel_question_name(int question) {
    static const char *const kind_of[] = {
        [REEL_COLOR_RED] = "kind_of_red",       [REEL_COLOR_ORANGE] = "kind_of_orange",
        [REEL_COLOR_YELLOW] = "kind_of_yellow", [REEL_COLOR_GREEN] = "kind_of_green",
        [REEL_COLOR_BLUE] = "kind_of_blue",     [REEL_COLOR_PURPLE] = "kind_of_purple",
        [REEL_COLOR_PINK] = "kind_of_pink",     [REEL_COLOR_BROWN] = "kind_of_brown",
        [REEL_COLOR_BLACK] = "kind_of_black",   [REEL_COLOR_WHITE] = "kind_of_white",
    };
    _Static_assert(sizeof kind_of / sizeof *kind_of == REEL_COLOR_COUNT, "a name for each color");
    if (is_kind_of(question)) return kind_of[question - REEL_QUESTION_KIND_OF];
    if (question == REEL_QUESTION_KIND_1) return "kind_1";
    if (question == REEL_QUESTION_COLOR_1) return "color_1";
    if (question == REEL_QUESTION_OBJECTS) return "objects";
    return reel_attribute_name((reel_attribute)question);
}

int reel_question_answers(int question) {
    if (is_kind_of(question)) return 1 + REEL_KIND_COUNT;
    if (question == REEL_QUESTION_OBJECTS) return REEL_WORLD_MAX_OBJECTS;
    return reel_attribute_values(attribute_of(question));
}

const char *reel_question_answer_name(int question, int answer) {
    static const char *const counts[] = {"one", "two", "three"};
    if (is_kind_of(question))
        return answer ? reel_attribute_value_name(REEL_ATTRIBUTE_KIND, answer - 1) : "nothing";
    if (question == REEL_QUESTION_OBJECTS) return counts[answer];
    return reel_attribute_value_name(attribute_of(question), answer);
}

/* What has a color: 0 for nothing, else the kind + 1. */
static int kind_of(const reel_attributes *a, int color) {
    int answer = 0;
    for (int i = 0; i < a->n_objects; i++) {
        if (a->object[i][REEL_ATTRIBUTE_COLOR] != color) continue;
        const int kind = a->object[i][REEL_ATTRIBUTE_KIND] + 1;
        if (answer && answer != kind) return REEL_NO_ANSWER;
        answer = kind;
    }
    return answer;
}

int reel_question_answer(const reel_attributes *a, int question) {
    if (is_kind_of(question)) return kind_of(a, question - REEL_QUESTION_KIND_OF);
    if (question == REEL_QUESTION_OBJECTS) return a->n_objects - 1;
    const bool second = question == REEL_QUESTION_KIND_1 || question == REEL_QUESTION_COLOR_1;
    if (a->n_objects < 2 && (second || question == REEL_ATTRIBUTE_RELATION)) return REEL_NO_ANSWER;
    const int answer = reel_attributes_get(a, attribute_of(question), second ? 1 : 0);
    return answer == REEL_ANY ? REEL_NO_ANSWER : answer;
}

bool reel_question_mirrors(const reel_attributes *a) {
    return a->relation != REEL_RELATION_LEFT_OF;
}

static int mirrored_camera(int camera) {
    switch (camera) {
    case REEL_CAMERA_PAN_LEFT:
        return REEL_CAMERA_PAN_RIGHT;
    case REEL_CAMERA_PAN_RIGHT:
        return REEL_CAMERA_PAN_LEFT;
    case REEL_CAMERA_ORBIT_LEFT:
        return REEL_CAMERA_ORBIT_RIGHT;
    case REEL_CAMERA_ORBIT_RIGHT:
        return REEL_CAMERA_ORBIT_LEFT;
    default:
        return camera;
    }
}

int reel_question_mirrored(int question, int answer) {
    static const int headings[] = {REEL_HEADING_NONE, REEL_HEADING_RIGHT, REEL_HEADING_LEFT};
    if (answer == REEL_NO_ANSWER) return answer;
    if (question == REEL_ATTRIBUTE_HEADING) return headings[answer];
    return question == REEL_ATTRIBUTE_CAMERA ? mirrored_camera(answer) : answer;
}
