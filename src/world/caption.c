#include "world/caption_writer.h"

#include <string.h>

#include "base/rng.h"
#include "world/kinds.h"

reel_caption_request reel_caption_request_default(void) {
    return (reel_caption_request){REEL_ENGLISH, REEL_CAPTION_ANY, 0};
}

void reel_caption_put(reel_caption_writer *w, const char *text) {
    for (; *text && w->n + 1 < w->room; text++)
        w->text[w->n++] = *text;
    /* Never half a character: a cut falls on a first byte. */
    if (*text) {
        while (w->n > 0 && ((unsigned char)*text & 0xc0u) == 0x80u) {
            text--;
            w->n--;
        }
        w->room = w->n + 1;
    }
    w->text[w->n] = '\0';
}

int reel_caption_lot(reel_caption_writer *w, int n) {
    return (int)reel_rng_below(w->variant, 0x63617074u, w->next++, (uint64_t)n);
}

const char *reel_caption_pick(reel_caption_writer *w, const char *const list[4]) {
    int n = 0;
    while (n < 4 && list[n])
        n++;
    return list[reel_caption_lot(w, 12) * n / 12]; /* one lot of 12, whatever n is */
}

int reel_caption_value(const reel_caption_writer *w, reel_attribute attribute, int object) {
    return reel_attributes_get(w->attributes, attribute, object);
}

bool reel_caption_names(const reel_caption_writer *w, reel_attribute attribute, int object) {
    const uint32_t bits =
        attribute < REEL_OBJECT_ATTRIBUTES ? w->mentions.object[object] : w->mentions.scene;
    return bits >> attribute & 1u;
}

/* ---- what to mention ---- */

/* Per cent of captions of each length that name an attribute: what stands out, and what is as one
 * would expect it (matte, clear, a camera that stands). */
typedef struct chance {
    int out[4], plain[4]; /* by reel_caption_length */
} chance;
static const chance chances[REEL_ATTRIBUTE_COUNT] = {
    [REEL_ATTRIBUTE_KIND] = {{100, 100, 100, 100}, {100, 100, 100, 100}},
    [REEL_ATTRIBUTE_COLOR] = {{100, 94, 97, 100}, {100, 94, 97, 100}},
    [REEL_ATTRIBUTE_SIZE] = {{0, 15, 50, 100}, {0, 5, 20, 60}},
    [REEL_ATTRIBUTE_MATERIAL] = {{0, 20, 60, 100}, {0, 0, 8, 45}},
    [REEL_ATTRIBUTE_MOTION] = {{0, 100, 100, 100}, {0, 70, 85, 100}},
    [REEL_ATTRIBUTE_HEADING] = {{0, 45, 75, 100}, {0, 0, 0, 0}},
    [REEL_ATTRIBUTE_RELATION] = {{0, 100, 100, 100}, {0, 0, 0, 0}},
    [REEL_ATTRIBUTE_GROUND] = {{0, 55, 90, 100}, {0, 55, 90, 100}},
    [REEL_ATTRIBUTE_SKY] = {{0, 35, 85, 100}, {0, 35, 85, 100}},
    [REEL_ATTRIBUTE_WEATHER] = {{0, 30, 85, 100}, {0, 0, 5, 30}},
    [REEL_ATTRIBUTE_CAMERA] = {{0, 15, 75, 100}, {0, 0, 15, 60}},
};

/* Values one would expect where nothing is said; heading and relation 0 are "none". */
static bool is_plain(reel_attribute attribute, int value) {
    if (attribute == REEL_ATTRIBUTE_SIZE) return value == REEL_SIZE_MEDIUM;
    return value == 0;
}

static void choose(reel_caption_writer *w, reel_caption_length length, reel_attribute attribute,
                   int object) {
    const bool plain = is_plain(attribute, reel_caption_value(w, attribute, object));
    const int percent = plain ? chances[attribute].plain[length] : chances[attribute].out[length];
    if (reel_caption_lot(w, 100) >= percent) return;
    if (attribute < REEL_OBJECT_ATTRIBUTES) {
        w->mentions.object[object] |= 1u << attribute;
    } else {
        w->mentions.scene |= 1u << attribute;
    }
}

static void choose_all(reel_caption_writer *w, reel_caption_length length) {
    const int n = w->attributes->n_objects;
    const int first = reel_caption_value(w, REEL_ATTRIBUTE_MOTION, 0);
    const bool partner = reel_motion_needs_partner((reel_motion)first);
    for (int a = REEL_OBJECT_ATTRIBUTES; a < REEL_ATTRIBUTE_COUNT; a++)
        choose(w, length, (reel_attribute)a, 0);
    const bool related = reel_caption_names(w, REEL_ATTRIBUTE_RELATION, 0);
    for (int i = 0; i < n; i++) {
        /* Others are named when they take part; bystanders in longer captions. */
        const int lot = reel_caption_lot(w, 100);
        const bool takes_part = i == 0 || (i == 1 && (partner || related));
        const int by = length == REEL_CAPTION_LONG ? 100 : length == REEL_CAPTION_MEDIUM ? 75 : 25;
        if (!takes_part && lot >= by) continue;
        for (int a = 0; a < REEL_OBJECT_ATTRIBUTES; a++)
            choose(w, length, (reel_attribute)a, i);
    }
}

void reel_caption_write(const reel_attributes *attributes, const reel_caption_request *request,
                        char *text, int text_bytes, reel_mentions *mentions) {
    reel_caption_writer w = {
        .text = text, .room = text_bytes, .variant = request->variant, .attributes = attributes};
    text[0] = '\0';
    reel_caption_length length = request->length;
    const int lot = reel_caption_lot(&w, 100);
    if (length == REEL_CAPTION_ANY)
        length = lot < 30 ? REEL_CAPTION_SHORT : lot < 80 ? REEL_CAPTION_MEDIUM : REEL_CAPTION_LONG;
    choose_all(&w, length);
    w.next = 256; /* phrasing is the same whatever was chosen */
    if (request->language == REEL_CHINESE) {
        reel_caption_chinese(&w);
    } else {
        reel_caption_english(&w);
    }
    if (mentions) *mentions = w.mentions;
}

void reel_scene_caption(const reel_scene *scene, const reel_caption_request *request, char *text,
                        int text_bytes, reel_mentions *mentions) {
    const reel_attributes attributes = reel_scene_attributes(scene);
    reel_caption_write(&attributes, request, text, text_bytes, mentions);
}

bool reel_caption_swap(const reel_attributes *truth, reel_attribute which, int from,
                       const reel_caption_request *request, char *swapped, reel_attributes *other) {
    const int n = reel_attribute_values(which), old = reel_attributes_get(truth, which, 0);
    char text[REEL_CAPTION_BYTES];
    reel_caption_write(truth, request, text, sizeof text, NULL);
    for (int k = 0; k < n && old != REEL_ANY; k++) {
        const int value = (from + k) % n;
        if (value == old) continue;
        *other = *truth;
        reel_attributes_set(other, which, 0, value);
        if (!reel_attributes_possible(other, NULL, 0)) continue;
        reel_caption_write(other, request, swapped, REEL_CAPTION_BYTES, NULL);
        if (strcmp(text, swapped) != 0) return true;
    }
    return false;
}
