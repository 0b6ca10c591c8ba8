#include "media/container.h"

#include <string.h>
#include <strings.h>

#include "base/env.h"

static const char tag_comment[] = "comment";

static uint32_t big32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static uint32_t little32(const uint8_t *p) {
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}
static int big16(const uint8_t *p) {
    return p[0] << 8 | p[1];
}
static int little16(const uint8_t *p) {
    return p[1] << 8 | p[0];
}

const char *reel_container_name(reel_container_kind kind) {
    static const char *const name[] = {
        [REEL_CONTAINER_UNKNOWN] = "unknown",   [REEL_CONTAINER_MP4] = "mp4",
        [REEL_CONTAINER_MATROSKA] = "matroska", [REEL_CONTAINER_GIF] = "gif",
        [REEL_CONTAINER_PNG] = "png",           [REEL_CONTAINER_APNG] = "apng",
        [REEL_CONTAINER_JPEG] = "jpeg",         [REEL_CONTAINER_WEBP] = "webp",
    };
    return name[kind];
}

/* ---- PNG: eight bytes, then chunks of length, name, data, checksum ---- */

static const uint8_t png_magic[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
enum { PNG_FIRST = 8, PNG_FRAME = 12 };

typedef struct chunk {
    const uint8_t *name; /* 4 letters; NULL: there are no more whole chunks */
    const uint8_t *data;
    int64_t bytes;
    int64_t next; /* offset */
} chunk;

static chunk png_chunk(const uint8_t *data, int64_t bytes, int64_t at) {
    chunk c = {0};
    if (at > bytes - PNG_FRAME) return c;
    c.bytes = big32(data + at);
    if (c.bytes > bytes - at - PNG_FRAME) return (chunk){0};
    c.name = data + at + 4;
    c.data = data + at + 8;
    c.next = at + PNG_FRAME + c.bytes;
    return c;
}

static bool chunk_is(const chunk *c, const char *name) {
    return memcmp(c->name, name, 4) == 0;
}

static void look_png(const uint8_t *data, int64_t bytes, reel_container *out) {
    out->kind = REEL_CONTAINER_PNG;
    for (chunk c = png_chunk(data, bytes, PNG_FIRST); c.name; c = png_chunk(data, bytes, c.next)) {
        if (chunk_is(&c, "IHDR") && c.bytes >= 8) {
            out->width = big32(c.data);
            out->height = big32(c.data + 4);
        }
        if (chunk_is(&c, "acTL")) out->kind = REEL_CONTAINER_APNG;
        if (chunk_is(&c, "IEND")) out->ends = true;
        if (out->ends) break;
    }
}

/* ---- JPEG: segments of a mark and a length up to the pixels, then a mark of the end ---- */

static bool is_frame_mark(int mark) {
    return mark >= 0xc0 && mark <= 0xcf && mark != 0xc4 && mark != 0xc8 && mark != 0xcc;
}

static void look_jpeg(const uint8_t *data, int64_t bytes, reel_container *out) {
    out->kind = REEL_CONTAINER_JPEG;
    int64_t at = 2;
    while (at + 4 <= bytes && data[at] == 0xff) {
        const int mark = data[at + 1];
        if (mark == 0xff) { /* fill */
            at++;
            continue;
        }
        if (is_frame_mark(mark) && at + 9 <= bytes) {
            out->height = big16(data + at + 5);
            out->width = big16(data + at + 7);
        }
        at += 2 + big16(data + at + 2);
        if (mark == 0xda) break; /* the pixels begin; a preview's own end came before */
    }
    for (; at + 2 <= bytes && !out->ends; at++)
        out->ends = data[at] == 0xff && data[at + 1] == 0xd9;
}

/* ---- GIF: a header, then blocks ---- */

enum {
    GIF_HEADER = 13,
    GIF_EXTENSION = 0x21,
    GIF_IMAGE = 0x2c,
    GIF_END = 0x3b,
    GIF_COMMENT = 0xfe
};

static int64_t gif_colors(int flags) {
    return flags & 0x80 ? (int64_t)3 << ((flags & 7) + 1) : 0;
}

/* Behind the sub-blocks that begin at `at`; beyond bytes when they do not end. */
static int64_t gif_skip(const uint8_t *data, int64_t bytes, int64_t at) {
    while (at < bytes && data[at] != 0)
        at += 1 + data[at];
    return at + 1;
}

/* Walks over one block: its kind, and the offset behind it. -1: no whole block is there. */
static int gif_block(const uint8_t *data, int64_t bytes, int64_t *at) {
    if (*at >= bytes) return -1;
    const int kind = data[*at];
    if (kind == GIF_END) {
        *at += 1;
        return kind;
    }
    int64_t next = *at;
    if (kind == GIF_EXTENSION && *at + 2 <= bytes) {
        next = gif_skip(data, bytes, *at + 2);
    } else if (kind == GIF_IMAGE && *at + 10 <= bytes) {
        next = gif_skip(data, bytes, *at + 11 + gif_colors(data[*at + 9]));
    } else {
        return -1;
    }
    if (next > bytes) return -1;
    *at = next;
    return kind;
}

static int64_t gif_first(const uint8_t *data) {
    return GIF_HEADER + gif_colors(data[10]);
}

static void look_gif(const uint8_t *data, int64_t bytes, reel_container *out) {
    out->kind = REEL_CONTAINER_GIF;
    if (bytes < GIF_HEADER) return;
    out->width = little16(data + 6);
    out->height = little16(data + 8);
    int64_t at = gif_first(data);
    for (int kind = 0; kind >= 0 && !out->ends;) {
        kind = gif_block(data, bytes, &at);
        out->ends = kind == GIF_END;
    }
}

/* ---- WebP: RIFF with its length, then VP8, VP8L or VP8X ---- */

static void look_webp(const uint8_t *data, int64_t bytes, reel_container *out) {
    out->kind = REEL_CONTAINER_WEBP;
    out->ends = (int64_t)little32(data + 4) + 8 <= bytes;
    if (bytes < 30) return;
    const uint8_t *p = data + 20; /* behind the name and length of the first chunk */
    if (memcmp(data + 12, "VP8X", 4) == 0) {
        out->is_animated_webp = p[0] & 2;
        out->width = 1 + (little32(p + 4) & 0xffffff);
        out->height = 1 + (little32(p + 7) & 0xffffff);
    } else if (memcmp(data + 12, "VP8L", 4) == 0) {
        const uint32_t size = little32(p + 1);
        out->width = 1 + (size & 0x3fff);
        out->height = 1 + (size >> 14 & 0x3fff);
    } else if (memcmp(data + 12, "VP8 ", 4) == 0) {
        out->width = little16(p + 6) & 0x3fff;
        out->height = little16(p + 8) & 0x3fff;
    }
}

/* ---- MP4 and MOV: boxes of a length and a name ---- */

static bool is_letter(uint8_t c) {
    return c >= 0x20 && c < 0x7f;
}

/* Walks over the outermost boxes. What follows them and is no box is let be. */
static void look_mp4(const uint8_t *data, int64_t bytes, reel_container *out) {
    out->kind = REEL_CONTAINER_MP4;
    out->ends = true;
    for (int64_t at = 0; at <= bytes - 8;) {
        const uint8_t *box = data + at;
        uint64_t length = big32(box);
        if (length == 0) return; /* to the end of the file */
        if (length == 1 && at <= bytes - 16)
            length = (uint64_t)big32(box + 8) << 32 | big32(box + 12);
        if (length < 8 || !is_letter(box[4]) || !is_letter(box[5]) || !is_letter(box[6]) ||
            !is_letter(box[7]))
            return;
        out->ends = length <= (uint64_t)(bytes - at);
        if (!out->ends) return;
        at += (int64_t)length;
    }
}

/* The first box of the ISO family (ftyp), and those old QuickTime files begin with. */
static bool is_mp4(const uint8_t *data) {
    static const char box[][5] = {"ftyp", "moov", "mdat", "wide", "free", "skip"};
    for (size_t i = 0; i < sizeof box / sizeof *box; i++)
        if (memcmp(data + 4, box[i], 4) == 0) return true;
    return false;
}

/* ---- Matroska and WebM: an EBML header, then one segment with its length ---- */

/* A number of EBML at `at`, its width in the leading zeros; *unknown when all its bits are set.
 * Returns the offset behind it, or -1. */
static int64_t ebml_number(const uint8_t *data, int64_t bytes, int64_t at, uint64_t *number,
                           bool *unknown) {
    if (at >= bytes || data[at] == 0) return -1;
    int n = 1;
    while (!(data[at] & 0x80 >> (n - 1)))
        n++;
    if (at + n > bytes) return -1;
    uint64_t value = data[at] & (0x7fu >> (n - 1));
    for (int i = 1; i < n; i++)
        value = value << 8 | data[at + i];
    *number = value;
    *unknown = value == ((uint64_t)1 << 7 * n) - 1;
    return at + n;
}

static void look_matroska(const uint8_t *data, int64_t bytes, reel_container *out) {
    static const uint8_t segment[4] = {0x18, 0x53, 0x80, 0x67};
    *out = (reel_container){.kind = REEL_CONTAINER_MATROSKA, .ends = true};
    uint64_t length = 0;
    bool unknown = false;
    int64_t at = ebml_number(data, bytes, 4, &length, &unknown);
    if (at < 0 || length > (uint64_t)(bytes - at)) {
        out->ends = false;
        return;
    }
    at += (int64_t)length;
    if (at > bytes - 4 || memcmp(data + at, segment, sizeof segment) != 0) return;
    at = ebml_number(data, bytes, at + 4, &length, &unknown);
    out->ends = at >= 0 && (unknown || length <= (uint64_t)(bytes - at)); /* unknown: live */
}

/* ---- all of them ---- */

reel_container reel_container_look(const uint8_t *data, int64_t bytes) {
    static const uint8_t matroska[4] = {0x1a, 0x45, 0xdf, 0xa3};
    reel_container out = {.kind = REEL_CONTAINER_UNKNOWN};
    if (bytes < 12) return out;
    if (memcmp(data, png_magic, sizeof png_magic) == 0) {
        look_png(data, bytes, &out);
    } else if (data[0] == 0xff && data[1] == 0xd8 && data[2] == 0xff) {
        look_jpeg(data, bytes, &out);
    } else if (memcmp(data, "GIF87a", 6) == 0 || memcmp(data, "GIF89a", 6) == 0) {
        look_gif(data, bytes, &out);
    } else if (memcmp(data, "RIFF", 4) == 0 && memcmp(data + 8, "WEBP", 4) == 0) {
        look_webp(data, bytes, &out);
    } else if (memcmp(data, matroska, sizeof matroska) == 0) {
        look_matroska(data, bytes, &out);
    } else if (is_mp4(data)) {
        look_mp4(data, bytes, &out);
    }
    return out;
}

/* ---- comments: reading ---- */

/* The text of a tEXt or iTXt chunk named Comment: *text is NULL when it is none. */
static void png_text(const chunk *c, const uint8_t **text, int64_t *n) {
    static const char key[] = "Comment"; /* its 0 is the end of the name in the chunk */
    const int64_t n_key = sizeof key;
    *text = NULL;
    if (c->bytes < n_key || memchr(c->data, 0, (size_t)n_key) != c->data + n_key - 1 ||
        strncasecmp((const char *)c->data, key, sizeof key - 1) != 0)
        return;
    int64_t at = n_key;
    if (chunk_is(c, "iTXt")) {
        if (c->bytes < at + 2 || c->data[at] != 0) return; /* compressed */
        at += 2;
        for (int i = 0; i < 2; i++) { /* language, translated name */
            const uint8_t *end = memchr(c->data + at, 0, (size_t)(c->bytes - at));
            if (!end) return;
            at = end - c->data + 1;
        }
    } else if (!chunk_is(c, "tEXt")) {
        return;
    }
    *text = c->data + at;
    *n = c->bytes - at;
}

static reel_status png_comment(reel_env *env, const uint8_t *data, int64_t bytes, char **comment) {
    for (chunk c = png_chunk(data, bytes, PNG_FIRST); c.name; c = png_chunk(data, bytes, c.next)) {
        const uint8_t *text = NULL;
        int64_t n = 0;
        png_text(&c, &text, &n);
        if (!text) continue;
        char *copy = reel_alloc(env, n + 1, tag_comment);
        if (!copy) return REEL_E_NOMEM;
        memcpy(copy, text, (size_t)n);
        copy[n] = '\0';
        *comment = copy;
        return REEL_OK;
    }
    return REEL_OK;
}

static reel_status gif_comment(reel_env *env, const uint8_t *data, int64_t bytes, char **comment) {
    int64_t next = gif_first(data);
    for (int kind = 0; kind >= 0 && kind != GIF_END;) {
        const int64_t at = next;
        kind = gif_block(data, bytes, &next);
        if (kind != GIF_EXTENSION || data[at + 1] != GIF_COMMENT) continue;
        char *copy = reel_alloc(env, next - at, tag_comment); /* the lengths between make it fit */
        if (!copy) return REEL_E_NOMEM;
        int64_t n = 0;
        for (int64_t k = at + 2; data[k] != 0; k += 1 + data[k]) {
            memcpy(copy + n, data + k + 1, data[k]);
            n += data[k];
        }
        copy[n] = '\0';
        *comment = copy;
        return REEL_OK;
    }
    return REEL_OK;
}

reel_status reel_container_comment(reel_env *env, const uint8_t *data, int64_t bytes,
                                   char **comment) {
    *comment = NULL;
    const reel_container_kind kind = reel_container_look(data, bytes).kind;
    if (kind == REEL_CONTAINER_PNG || kind == REEL_CONTAINER_APNG)
        return png_comment(env, data, bytes, comment);
    if (kind == REEL_CONTAINER_GIF && bytes >= GIF_HEADER)
        return gif_comment(env, data, bytes, comment);
    return REEL_OK;
}

/* ---- comments: writing ---- */

/* The CRC of the PNG specification, annex D: polynomial 0xedb88320, reflected. */
static uint32_t crc(uint32_t c, const void *data, size_t bytes) {
    const uint8_t *p = data;
    for (size_t i = 0; i < bytes; i++) {
        c ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
    }
    return c;
}

static reel_status write_big32(reel_writer *w, uint32_t x) {
    const uint8_t bytes[4] = {(uint8_t)(x >> 24), (uint8_t)(x >> 16), (uint8_t)(x >> 8),
                              (uint8_t)x};
    return reel_writer_write(w, bytes, sizeof bytes);
}

static reel_status write_png_text(reel_writer *w, const char *text) {
    static const char plain[] = "tEXtComment";        /* the last 0 ends the key */
    static const char utf8[] = "iTXtComment\0\0\0\0"; /* not compressed, no language */
    const size_t n = strlen(text);
    bool ascii = true;
    for (size_t i = 0; i < n; i++)
        ascii = ascii && (unsigned char)text[i] < 0x80;
    const char *head = ascii ? plain : utf8;
    const size_t n_head = ascii ? sizeof plain : sizeof utf8;
    reel_status status = write_big32(w, (uint32_t)(n_head - 4 + n));
    if (status == REEL_OK) status = reel_writer_write(w, head, (int64_t)n_head);
    if (status == REEL_OK) status = reel_writer_write(w, text, (int64_t)n);
    if (status != REEL_OK) return status;
    return write_big32(w, ~crc(crc(~0u, head, n_head), text, n));
}

reel_status reel_container_write_png(reel_writer *w, const uint8_t *png, int64_t bytes,
                                     const char *comment) {
    const chunk first = png_chunk(png, bytes, PNG_FIRST);
    const int64_t n = first.name ? first.next : bytes;
    reel_status status = reel_writer_write(w, png, n);
    if (status == REEL_OK && comment && n < bytes) status = write_png_text(w, comment);
    if (status == REEL_OK && n < bytes) status = reel_writer_write(w, png + n, bytes - n);
    return status;
}

reel_status reel_container_end_gif(reel_writer *w, const char *comment) {
    static const uint8_t head[2] = {GIF_EXTENSION, GIF_COMMENT}, end[2] = {0, GIF_END};
    reel_status status = reel_writer_seek(w, reel_writer_offset(w) - 1);
    if (status == REEL_OK) status = reel_writer_write(w, head, sizeof head);
    for (size_t n = strlen(comment), piece = 0; status == REEL_OK && n > 0; n -= piece) {
        piece = n < 255 ? n : 255;
        const uint8_t length = (uint8_t)piece;
        status = reel_writer_write(w, &length, 1);
        if (status == REEL_OK) status = reel_writer_write(w, comment, (int64_t)piece);
        comment += piece;
    }
    return status == REEL_OK ? reel_writer_write(w, end, sizeof end) : status;
}
