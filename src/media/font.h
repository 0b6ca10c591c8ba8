/* A bitmap font for labels: printable ASCII, five by seven dots. */
#ifndef REEL_MEDIA_FONT_H
#define REEL_MEDIA_FONT_H

#include "media/picture.h"

enum { REEL_FONT_WIDTH = 6, REEL_FONT_HEIGHT = 8 }; /* of a character's place, at scale 1 */

/* Writes text in white onto a picture, its upper left corner at (x,y), each dot scale by scale
 * pixels. UTF-8; what is no printable ASCII becomes '?', one for each character. What does not fit
 * into max_width pixels is cut, with two dots at the end. Nothing is drawn outside the picture. */
void reel_font_draw(const reel_picture *picture, int x, int y, int scale, int max_width,
                    const char *text);

#endif
