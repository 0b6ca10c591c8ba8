#include "world/understand.h"

#include <stdio.h>
#include <string.h>

#include "world/lexicon.h"

/* Where the reading stands. */
typedef struct reader {
    reel_understood *out;
    int8_t waiting[REEL_OBJECT_ATTRIBUTES]; /* adjectives, and a motion, with no noun yet */
    int subject;                            /* whose motion the next verb says; -1: no object yet */
    int last;                               /* the object named last; -1 */
    bool definite, acts, on;
    bool of_camera;
    reel_camera_verb verb;
    reel_camera_way way;
} reader;

static void give(reader *r, int object, reel_attribute attribute, int value) {
    reel_understood *u = r->out;
    if (reel_attributes_get(&u->attributes, attribute, object) != REEL_ANY) return;
    reel_attributes_set(&u->attributes, attribute, object, value);
    if (attribute < REEL_OBJECT_ATTRIBUTES) {
        u->mentions.object[object] |= 1u << attribute;
    } else {
        u->mentions.scene |= 1u << attribute;
    }
}

static void not_known(reader *r, int from, int bytes) {
    reel_understood *u = r->out;
    if (u->n_unknown < REEL_UNKNOWN_WORDS)
        u->unknown[u->n_unknown] = (reel_prompt_span){from, bytes};
    u->n_unknown++;
}

/* An object that was named before and that "the" may mean; -1. */
static int referred(const reader *r, int kind) {
    const int color = r->waiting[REEL_ATTRIBUTE_COLOR];
    for (int i = 0; i < r->out->attributes.n_objects && r->definite; i++)
        if (r->out->attributes.object[i][REEL_ATTRIBUTE_KIND] == kind &&
            (color == REEL_ANY || color == r->out->attributes.object[i][REEL_ATTRIBUTE_COLOR]))
            return i;
    return -1;
}

static void drop_adjectives(reader *r) {
    for (int k = 0; k < REEL_ATTRIBUTE_MOTION; k++)
        r->waiting[k] = REEL_ANY;
    r->definite = r->on = false;
}

static bool read_kind(reader *r, int kind) {
    reel_attributes *a = &r->out->attributes;
    int object = referred(r, kind);
    const bool again = object >= 0;
    if (!again) {
        if (a->n_objects == REEL_WORLD_MAX_OBJECTS) return false;
        object = a->n_objects++;
        give(r, object, REEL_ATTRIBUTE_KIND, kind);
    }
    for (int k = 0; k < REEL_ATTRIBUTE_MOTION; k++)
        if (r->waiting[k] != REEL_ANY) give(r, object, (reel_attribute)k, r->waiting[k]);
    if (object == 0)
        for (int k = REEL_ATTRIBUTE_MOTION; k < REEL_OBJECT_ATTRIBUTES; k++)
            if (r->waiting[k] != REEL_ANY) give(r, 0, (reel_attribute)k, r->waiting[k]);
    if (r->on && object > 0 && !again) give(r, 0, REEL_ATTRIBUTE_RELATION, REEL_RELATION_ON_TOP_OF);
    if (r->subject < 0 || r->acts || again) r->subject = object;
    r->last = object;
    r->acts = false;
    drop_adjectives(r);
    return true;
}

/* "the ball is red": what waited for a noun that never came belongs to the one before. */
static void settle(reader *r) {
    for (int k = 0; k < REEL_ATTRIBUTE_MOTION && r->last >= 0; k++)
        if (r->waiting[k] != REEL_ANY) give(r, r->last, (reel_attribute)k, r->waiting[k]);
    if (r->last >= 0) drop_adjectives(r);
}

static void settle_camera(reader *r) {
    static const int8_t move[][REEL_WAY_OUT + 1] = {
        [REEL_VERB_PAN] =
            {[REEL_WAY_LEFT] = REEL_CAMERA_PAN_LEFT, [REEL_WAY_RIGHT] = REEL_CAMERA_PAN_RIGHT},
        [REEL_VERB_TILT] =
            {[REEL_WAY_UP] = REEL_CAMERA_TILT_UP, [REEL_WAY_DOWN] = REEL_CAMERA_TILT_DOWN},
        [REEL_VERB_ZOOM] =
            {[REEL_WAY_IN] = REEL_CAMERA_ZOOM_IN, [REEL_WAY_OUT] = REEL_CAMERA_ZOOM_OUT},
        [REEL_VERB_DOLLY] =
            {[REEL_WAY_IN] = REEL_CAMERA_DOLLY_IN, [REEL_WAY_OUT] = REEL_CAMERA_DOLLY_OUT},
        [REEL_VERB_ORBIT] =
            {[REEL_WAY_LEFT] = REEL_CAMERA_ORBIT_LEFT, [REEL_WAY_RIGHT] = REEL_CAMERA_ORBIT_RIGHT},
    };
    if (r->verb == REEL_VERB_NONE || r->way == REEL_WAY_NONE) return;
    const int value = move[r->verb][r->way];
    if (value != REEL_CAMERA_STILL) give(r, 0, REEL_ATTRIBUTE_CAMERA, value);
    r->verb = REEL_VERB_NONE;
    r->way = REEL_WAY_NONE;
}

static void read_attribute(reader *r, reel_attribute attribute, int value) {
    switch (attribute) {
    case REEL_ATTRIBUTE_COLOR:
    case REEL_ATTRIBUTE_SIZE:
    case REEL_ATTRIBUTE_MATERIAL:
        r->waiting[attribute] = (int8_t)value;
        break;
    case REEL_ATTRIBUTE_MOTION: {
        /* A verb without a subject of its own speaks of the first object. */
        const int object = r->subject < 0 ? 0 : r->subject;
        if (r->subject < 0)
            r->waiting[attribute] = (int8_t)value;
        else
            give(r, object, attribute, value);
        break;
    }
    case REEL_ATTRIBUTE_HEADING:
        if (r->last < 0)
            r->waiting[attribute] = (int8_t)value;
        else
            give(r, 0, attribute, value);
        break;
    case REEL_ATTRIBUTE_GROUND:
        give(r, 0, attribute, value);
        drop_adjectives(r); /* green grass makes no object green */
        break;
    default:
        give(r, 0, attribute, value);
        break;
    }
}

static void end_phrase(reader *r, bool sentence) {
    settle(r);
    r->of_camera = false;
    r->verb = REEL_VERB_NONE;
    r->way = REEL_WAY_NONE;
    if (sentence) r->acts = true;
}

/* False when the word is one object too many. */
static bool read_word(reader *r, const reel_word *word) {
    switch (word->role) {
    case REEL_ATTRIBUTE_KIND:
        return read_kind(r, word->value);
    case REEL_WORD_FILL:
        break;
    case REEL_WORD_THE:
        r->definite = true;
        break;
    case REEL_WORD_AND:
        r->acts = true;
        break;
    case REEL_WORD_ON:
        r->on = true;
        break;
    case REEL_WORD_CAMERA:
        r->of_camera = true;
        break;
    case REEL_WORD_MOVE:
        r->of_camera = true;
        r->verb = (reel_camera_verb)word->value;
        settle_camera(r);
        break;
    case REEL_WORD_WAY:
        r->way = (reel_camera_way)word->value;
        settle_camera(r);
        break;
    case REEL_WORD_STOP:
        end_phrase(r, true);
        break;
    case REEL_WORD_COMMA:
        end_phrase(r, false);
        break;
    default:
        read_attribute(r, (reel_attribute)word->role, word->value);
        break;
    }
    return true;
}

static bool is_word_byte(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '\'' || ((unsigned char)c & 0x80u);
}

/* Bytes of a word nobody knows: ASCII letters, or one character of another script. */
static int skip_unknown(const char *text, int bytes) {
    int i = 1;
    if ((unsigned char)text[0] & 0x80u) {
        while (i < bytes && ((unsigned char)text[i] & 0xc0u) == 0x80u)
            i++;
        return i;
    }
    while (i < bytes && is_word_byte(text[i]) && !((unsigned char)text[i] & 0x80u))
        i++;
    return i;
}

static void read_all(reader *r, const char *text, int bytes) {
    int run = -1; /* where a run of unknown characters of another script began */
    int i = 0;
    while (i < bytes) {
        int length;
        const reel_word *word = reel_lexicon_find(text + i, bytes - i, r->of_camera, &length);
        const bool foreign = (unsigned char)text[i] & 0x80u;
        if (run >= 0 && (word || !foreign)) {
            not_known(r, run, i - run);
            run = -1;
        }
        if (word) {
            if (!read_word(r, word)) not_known(r, i, length);
            i += length;
        } else if (is_word_byte(text[i])) {
            const int n = skip_unknown(text + i, bytes - i);
            if (foreign) {
                if (run < 0) run = i;
            } else {
                not_known(r, i, n);
            }
            i += n;
        } else {
            const char c = text[i++];
            if (c == '.' || c == '!' || c == ';' || c == '?') end_phrase(r, true);
            if (c == ',' || c == ':') end_phrase(r, false);
        }
    }
    if (run >= 0) not_known(r, run, bytes - run);
    end_phrase(r, true);
}

void reel_prompt_understand(const char *text, int64_t bytes, reel_understood *understood) {
    memset(understood, 0, sizeof *understood);
    understood->attributes = reel_attributes_any();
    reader r = {.out = understood, .subject = -1, .last = -1};
    memset(r.waiting, REEL_ANY, sizeof r.waiting);
    read_all(&r, text, (int)(bytes < REEL_PROMPT_BYTES ? bytes : REEL_PROMPT_BYTES));
    reel_attributes *a = &understood->attributes;
    /* What is pushed goes without saying. */
    if (a->n_objects > 1 && a->object[0][REEL_ATTRIBUTE_MOTION] == REEL_MOTION_COLLIDE &&
        a->object[1][REEL_ATTRIBUTE_MOTION] == REEL_ANY)
        a->object[1][REEL_ATTRIBUTE_MOTION] = REEL_MOTION_PUSHED;
    understood->possible =
        reel_attributes_possible(a, understood->why, (int)sizeof understood->why);
}
