/* Fields of a storyboard: what each is called, what it takes, and where it goes. */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/storyboard_state.h"
#include "text/unicode.h"

enum { MOST_WORDS = 4096, MOST_NAME = 32 };

typedef enum field_kind {
    FIELD_WORDS,  /* reel_story_words */
    FIELD_NUMBER, /* double in [min,max] */
    FIELD_WHOLE,  /* int64_t in [min,max] */
    FIELD_SIZE,   /* int64_t[2], each in [min,max] */
    FIELD_CHOICE, /* int64_t: index in words */
    FIELD_HOW,    /* reel_story_how */
} field_kind;

typedef struct field {
    const char *key;
    field_kind kind;
    double min, max;
    size_t offset;
    const char *const *words; /* of a choice, ended by NULL */
} field;

static const char *const fits[] = {"crop", "letterbox", NULL};

static const char *const moves[] = {
    "",         "still",   "pan left", "pan right",  "tilt up",     "tilt down", "zoom in",
    "zoom out", "move in", "move out", "orbit left", "orbit right", NULL};
static const char *const said[] = {NULL,
                                   "the camera stays still",
                                   "the camera pans left",
                                   "the camera pans right",
                                   "the camera tilts up",
                                   "the camera tilts down",
                                   "the camera zooms in",
                                   "the camera zooms out",
                                   "the camera moves closer",
                                   "the camera moves away",
                                   "the camera orbits to the left",
                                   "the camera orbits to the right"};
_Static_assert(sizeof moves / sizeof *moves == sizeof said / sizeof *said + 1,
               "a sentence for each move");

const char *reel_story_camera(int64_t move) {
    return said[move];
}

#define FILM(name) offsetof(reel_raw_story, name)
#define SCENE(name) offsetof(reel_raw_scene, name)
#define CARD(name) offsetof(reel_raw_card, name)

static const field film_fields[] = {
    {"size", FIELD_SIZE, 16, 8192, FILM(size), NULL},
    {"fps", FIELD_NUMBER, 1, 1000, FILM(fps), NULL},
    {"seconds", FIELD_NUMBER, 0.04, REEL_STORY_SECONDS, FILM(seconds), NULL},
    {"seed", FIELD_WHOLE, 0, 9e15, FILM(seed), NULL},
    {"steps", FIELD_WHOLE, 1, 1000, FILM(steps), NULL},
    {"cfg-scale", FIELD_NUMBER, 0, 100, FILM(cfg_scale), NULL},
    {"style", FIELD_WORDS, 0, 0, FILM(style), NULL},
    {"negative", FIELD_WORDS, 0, 0, FILM(negative), NULL},
    {"fit", FIELD_CHOICE, 0, 0, FILM(letterbox), fits},
};
static const field shot_fields[] = {
    {"prompt", FIELD_WORDS, 0, 0, SCENE(prompt), NULL},
    {"seconds", FIELD_NUMBER, 0.04, REEL_STORY_SECONDS, SCENE(seconds), NULL},
    {"camera", FIELD_CHOICE, 0, 0, SCENE(camera), moves},
    {"seed", FIELD_WHOLE, 0, 9e15, SCENE(seed), NULL},
    {"begin", FIELD_HOW, 0, 0, SCENE(how), NULL},
};
static const field title_fields[] = {
    {"title", FIELD_WORDS, 0, 0, SCENE(title), NULL},
    {"seconds", FIELD_NUMBER, 0.04, REEL_STORY_SECONDS, SCENE(seconds), NULL},
    {"begin", FIELD_HOW, 0, 0, SCENE(how), NULL},
};
static const field card_fields[] = {
    {"at", FIELD_NUMBER, 0, REEL_STORY_SECONDS, CARD(at_s), NULL},
    {"text", FIELD_WORDS, 0, 0, CARD(text), NULL},
    {"image", FIELD_WORDS, 0, 0, CARD(image), NULL},
    {"clip", FIELD_WORDS, 0, 0, CARD(clip), NULL},
};

static const struct {
    const char *what;
    const field *field;
    int n;
} places[] = {
    [REEL_STORY_OF_FILM] = {"a film", film_fields, sizeof film_fields / sizeof(field)},
    [REEL_STORY_OF_SHOT] = {"a shot", shot_fields, sizeof shot_fields / sizeof(field)},
    [REEL_STORY_OF_TITLE] = {"a title", title_fields, sizeof title_fields / sizeof(field)},
    [REEL_STORY_OF_CARD] = {"a card", card_fields, sizeof card_fields / sizeof(field)}};

reel_status reel_story_fail(const reel_raw_story *story, int line, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return reel_fail(story->env, REEL_E_FORMAT, "%s:%d: %s", story->name, line, text);
}

/* ---- values ---- */

typedef struct value {
    const reel_raw_story *story;
    const field *field;
    const char *words;
    int line;
} value;

static bool read_number(const char *words, double *x) {
    char *end;
    *x = strtod(words, &end);
    return end != words && !*end && isfinite(*x);
}

static reel_status set_number(const value *v, double *to) {
    double x;
    if (!read_number(v->words, &x) || x < v->field->min || x > v->field->max)
        return reel_story_fail(v->story, v->line, "%s: got '%.64s', wanted %g to %g", v->field->key,
                               v->words, v->field->min, v->field->max);
    *to = x;
    return REEL_OK;
}

static reel_status set_whole(const value *v, int64_t *to) {
    double x;
    if (!read_number(v->words, &x) || x < v->field->min || x > v->field->max || x != floor(x))
        return reel_story_fail(v->story, v->line,
                               "%s: got '%.64s', wanted a whole number, %g to %g", v->field->key,
                               v->words, v->field->min, v->field->max);
    *to = (int64_t)x;
    return REEL_OK;
}

static reel_status set_size(const value *v, int64_t to[2]) {
    long width, height;
    int used = 0;
    const long least = (long)v->field->min, most = (long)v->field->max;
    if (strlen(v->words) > 9 || sscanf(v->words, "%ldx%ld%n", &width, &height, &used) != 2 ||
        v->words[used] || width < least || height < least || width > most || height > most)
        return reel_story_fail(v->story, v->line,
                               "%s: got '%.64s', wanted WIDTHxHEIGHT, each %ld to %ld",
                               v->field->key, v->words, least, most);
    to[0] = width;
    to[1] = height;
    return REEL_OK;
}

static reel_status set_choice(const value *v, int64_t *to) {
    char list[256] = "";
    size_t n = 0;
    for (int i = 0; v->field->words[i]; i++) {
        if (v->words[0] && strcmp(v->words, v->field->words[i]) == 0) {
            *to = i;
            return REEL_OK;
        }
        n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", n ? ", " : "", v->field->words[i]);
    }
    return reel_story_fail(v->story, v->line, "%s: got '%.64s', wanted one of %s", v->field->key,
                           v->words, list);
}

static reel_status set_how(const value *v, reel_story_how *to) {
    double x = 0;
    if (strcmp(v->words, "cut") == 0)
        *to = (reel_story_how){REEL_STORY_CUT, 0};
    else if (strcmp(v->words, "continue") == 0)
        *to = (reel_story_how){REEL_STORY_CONTINUE, 0};
    else if (strncmp(v->words, "fade ", 5) == 0 && read_number(v->words + 5, &x) && x > 0 &&
             x <= REEL_STORY_LONGEST_FADE)
        *to = (reel_story_how){REEL_STORY_FADE, x};
    else
        return reel_story_fail(v->story, v->line,
                               "%s: got '%.64s', wanted cut, continue or fade SECONDS, at most %d",
                               v->field->key, v->words, REEL_STORY_LONGEST_FADE);
    return REEL_OK;
}

static reel_status set_words(const value *v, reel_story_words *to) {
    const size_t n = strlen(v->words);
    if (n == 0 || n > MOST_WORDS)
        return reel_story_fail(v->story, v->line, "%s: has %lld bytes, wanted 1 to %d",
                               v->field->key, (long long)n, MOST_WORDS);
    if (!reel_utf8_sound(v->words, (int64_t)n))
        return reel_story_fail(v->story, v->line, "%s: is not UTF-8", v->field->key);
    to->line = v->line;
    to->text = reel_arena_strdup(v->story->arena, v->words);
    return to->text ? REEL_OK : REEL_E_NOMEM;
}

static reel_status fail_key(const reel_raw_story *s, reel_story_place place, const char *key,
                            int line) {
    char list[256] = "";
    size_t n = 0;
    for (int i = 0; i < places[place].n; i++)
        n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", i ? ", " : "",
                              places[place].field[i].key);
    return reel_story_fail(s, line, "%s has no '%.64s', wanted %s%s", places[place].what, key, list,
                           place == REEL_STORY_OF_FILM ? ", a title, a shot or a name" : "");
}

reel_status reel_story_set(reel_raw_story *s, reel_story_place place, void *object, uint32_t *given,
                           const char *key, const char *words, int line) {
    const field *f = NULL;
    int i = 0;
    for (; i < places[place].n && !f; i++)
        if (strcmp(places[place].field[i].key, key) == 0) f = &places[place].field[i];
    if (!f) return fail_key(s, place, key, line);
    if (*given >> i & 1) return reel_story_fail(s, line, "%s is given a second time", key);
    *given |= (uint32_t)1 << i;
    const value v = {s, f, words, line};
    void *to = (char *)object + f->offset;
    switch (f->kind) {
    case FIELD_NUMBER:
        return set_number(&v, to);
    case FIELD_WHOLE:
        return set_whole(&v, to);
    case FIELD_SIZE:
        return set_size(&v, to);
    case FIELD_CHOICE:
        return set_choice(&v, to);
    case FIELD_HOW:
        return set_how(&v, to);
    default:
        return set_words(&v, to);
    }
}

/* ---- new places ---- */

reel_status reel_story_add_scene(reel_raw_story *s, int line, reel_raw_scene **scene) {
    if (s->n_scenes == REEL_STORY_SCENES)
        return reel_story_fail(s, line, "more than %d shots and titles", REEL_STORY_SCENES);
    if (!s->scene) s->scene = reel_arena_calloc(s->arena, REEL_STORY_SCENES, sizeof *s->scene);
    if (!s->scene) return REEL_E_NOMEM;
    *scene = &s->scene[s->n_scenes++];
    **scene = (reel_raw_scene){.line = line, .seed = -1};
    return REEL_OK;
}

reel_status reel_story_add_card(reel_raw_story *s, reel_raw_scene *scene, int line,
                                reel_raw_card **card) {
    if (scene->n_cards == REEL_STORY_CARDS)
        return reel_story_fail(s, line, "more than %d cards in a shot", REEL_STORY_CARDS);
    if (!scene->card) scene->card = reel_arena_calloc(s->arena, REEL_STORY_CARDS, sizeof **card);
    if (!scene->card) return REEL_E_NOMEM;
    *card = &scene->card[scene->n_cards++];
    **card = (reel_raw_card){.line = line, .at_s = -1};
    return REEL_OK;
}

reel_status reel_story_add_name(reel_raw_story *s, const char *name, const char *words, int line) {
    static const field description = {"what a name stands for", FIELD_WORDS, 0, 0, 0, NULL};
    size_t n = 0;
    while (reel_story_is_name(name[n]))
        n++;
    if (n == 0 || n > MOST_NAME || name[n])
        return reel_story_fail(s, line, "@%.40s: a name has 1 to %d letters, digits, - and _", name,
                               MOST_NAME);
    for (int i = 0; i < s->n_names; i++)
        if (strcmp(s->names[i].name, name) == 0)
            return reel_story_fail(s, line, "@%s was said on line %d already", name,
                                   s->names[i].is.line);
    if (s->n_names == REEL_STORY_NAMES)
        return reel_story_fail(s, line, "more than %d names", REEL_STORY_NAMES);
    if (!s->names) s->names = reel_arena_calloc(s->arena, REEL_STORY_NAMES, sizeof *s->names);
    if (!s->names) return REEL_E_NOMEM;
    reel_raw_name made = {.name = reel_arena_strdup(s->arena, name)};
    if (!made.name) return REEL_E_NOMEM;
    const value v = {s, &description, words, line};
    const reel_status status = set_words(&v, &made.is);
    if (status == REEL_OK) s->names[s->n_names++] = made;
    return status;
}
