/* Films: scenes one after another, mixed where they fade into each other, and a contact sheet.
 *
 * A scene is frames of files, or words on black. One frame is held at a time, and those of one
 * fade.
 */
#ifndef REEL_PIPELINE_FILM_H
#define REEL_PIPELINE_FILM_H

#include "media/sheet.h"
#include "media/video_writer.h"

/* Frames [from, from + n) of a file. */
typedef struct reel_film_part {
    const char *path;
    int64_t from, n;
} reel_film_part;

typedef struct reel_film_scene {
    const char *title;          /* words on black; NULL: parts */
    const char *label;          /* on the contact sheet */
    const reel_film_part *part; /* [n_parts] */
    int n_parts;
    int64_t frames; /* of the title, or of all parts together */
    int64_t fade;   /* of them, mixed with the last ones of the scene before, or with black */
} reel_film_scene;

enum { REEL_FILM_COLUMNS = 6 /* frames of each scene on a sheet */ };

typedef struct reel_film {
    const reel_film_scene *scene; /* [n_scenes] */
    int n_scenes;
    int width, height; /* of every frame; parts of another size are cropped to it */
    double fps;        /* for the sheet's labels */
    /* Told before each scene; anything but REEL_OK ends the film with that status. May be NULL. */
    reel_status (*tick)(void *context, int scene);
    void *context;
} reel_film;

/* Frames of the film: fades between scenes count once. */
int64_t reel_film_frames(const reel_film *film);

/* Writes every frame to writer, and a row of frames of each scene to sheet (NULL: none). */
REEL_MUST_USE reel_status reel_film_write(reel_env *env, const reel_film *film,
                                          reel_video_writer *writer, reel_sheet *sheet);

/* Draws words into the middle of a black picture, in lines that fit, as large as they fit in. */
void reel_film_title(const reel_picture *picture, const char *words);

#endif
