/* Captions: what is true of a scene, said in English or Chinese in many ways.
 *
 * A caption is a pure function of attributes and a variant. The variant alone decides the phrasing
 * and what is left out, so that two attribute sets that differ in one value give two sentences that
 * differ in one phrase: that is what caption-swap tests compare. What a caption does say is
 * recorded, so that a judge asks only for that.
 */
#ifndef REEL_WORLD_CAPTION_H
#define REEL_WORLD_CAPTION_H

#include "world/world.h"

enum { REEL_CAPTION_BYTES = 1024 }; /* every caption fits, its 0 included */

typedef enum reel_language { REEL_ENGLISH, REEL_CHINESE, REEL_LANGUAGE_COUNT } reel_language;

typedef enum reel_caption_length {
    REEL_CAPTION_ANY,    /* drawn by the variant */
    REEL_CAPTION_SHORT,  /* the first object, its color and motion, perhaps one thing more */
    REEL_CAPTION_MEDIUM, /* most of it in one or two sentences */
    REEL_CAPTION_LONG,   /* everything */
} reel_caption_length;

typedef struct reel_caption_request {
    reel_language language;
    reel_caption_length length;
    uint64_t variant;
} reel_caption_request;

/* English, any length, variant 0. */
reel_caption_request reel_caption_request_default(void);

/* What a text names: bit (1 << reel_attribute) of the scene, and of each object. */
typedef struct reel_mentions {
    uint32_t scene;
    uint32_t object[REEL_WORLD_MAX_OBJECTS];
} reel_mentions;

/* Writes the caption of complete attributes. text has text_bytes; what does not fit is cut between
 * characters. mentions may be NULL. */
void reel_caption_write(const reel_attributes *attributes, const reel_caption_request *request,
                        char *text, int text_bytes, reel_mentions *mentions);

/* The same for what is true of a scene. */
void reel_scene_caption(const reel_scene *scene, const reel_caption_request *request, char *text,
                        int text_bytes, reel_mentions *mentions);

/* The caption of what is true but for the value of one attribute (of object 0, or of the scene),
 * exchanged for another that makes sense: the first of those from `from` on, in [0, values).
 * *other: the attributes after that. False, and then both may be anything, when there is none, or
 * the caption does not speak of the attribute. swapped has REEL_CAPTION_BYTES. */
bool reel_caption_swap(const reel_attributes *truth, reel_attribute which, int from,
                       const reel_caption_request *request, char *swapped, reel_attributes *other);

#endif
