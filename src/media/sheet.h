/* Contact sheets: labelled pictures in a grid, written as one PNG. */
#ifndef REEL_MEDIA_SHEET_H
#define REEL_MEDIA_SHEET_H

#include "media/picture.h"

enum { REEL_SHEET_MAX_COLUMNS = 64, REEL_SHEET_MAX_CELL = 4096, REEL_SHEET_MAX_CELLS = 4096 };

typedef struct reel_sheet_options {
    int columns;                 /* [1,64]; 6 */
    int cell_width, cell_height; /* of a picture, in pixels, [16,4096]; 192x108 */
} reel_sheet_options;

typedef struct reel_sheet reel_sheet;

reel_sheet_options reel_sheet_options_default(void);

/* An empty sheet. REEL_E_ARG for options outside their range. Freed with reel_sheet_free. */
REEL_MUST_USE reel_status reel_sheet_new(reel_env *env, const reel_sheet_options *options,
                                         reel_sheet **sheet);
void reel_sheet_free(reel_sheet **sheet);

/* Appends a picture, borrowed, letterboxed into its cell, with a label below it (ASCII is drawn,
 * other characters as '?'; NULL: none). Cells fill rows from the left. REEL_E_ARG when the sheet
 * would have more than 64 megapixels. */
REEL_MUST_USE reel_status reel_sheet_add(reel_sheet *sheet, const reel_picture *picture,
                                         const char *label);

/* A row of its own for a video or picture: as many frames as there are columns, spread evenly from
 * the first to the last, the first with the file's name below it and each with its time. */
REEL_MUST_USE reel_status reel_sheet_add_clip(reel_sheet *sheet, const char *path);

/* Writes what has been added, as PNG, with a comment or NULL. REEL_E_ARG when nothing was. */
REEL_MUST_USE reel_status reel_sheet_write(reel_sheet *sheet, const char *path,
                                           const char *comment);

#endif
