#include "text/prompt.h"

#include <string.h>

#include "text/entities.h"
#include "text/mojibake.h"
#include "text/unicode.h"

static const char tag_text[] = "text";
enum { MAX_PROMPT_BYTES = 1 << 20, MAX_EXPANSION = 3, MAX_ROUNDS = 16 };

/* ---- one character ---- */

/* What Python's \s matches. */
static bool is_space(uint32_t c) {
    return (c >= 0x9 && c <= 0xd) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
           c == 0x202f || c == 0x205f || c == 0x3000;
}

/* Control characters, deprecated formatting, byte-order marks, interlinear annotations. */
static bool is_control(uint32_t c) {
    return c <= 0x8 || c == 0xb || (c >= 0xe && c <= 0x1f) || c == 0x7f ||
           (c >= 0x206a && c <= 0x206f) || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffc);
}

static uint32_t plain(uint32_t c) {
    if ((c >= 0x2018 && c <= 0x201b) || c == 0x2bc) return '\'';
    if (c >= 0x201c && c <= 0x201f) return '"';
    if (c >= 0xff01 && c <= 0xff5e) return c - 0xff01 + '!';
    return c == 0x3000 ? ' ' : c;
}

/* The letters of a ligature or digraph, NULL for any other character. */
static const char *ligature(uint32_t c) {
    static const char *const printed[] = {"ff", "fi", "fl", "ffi", "ffl", "\xc5\xbft", "st"};
    static const char *const digraph[] = {"D\xc5\xbd", "D\xc5\xbe", "d\xc5\xbe", "LJ", "Lj",
                                          "lj",        "NJ",        "Nj",        "nj"};
    if (c >= 0xfb00 && c <= 0xfb06) return printed[c - 0xfb00];
    if (c >= 0x1c4 && c <= 0x1cc) return digraph[c - 0x1c4];
    switch (c) {
    case 0x132:
        return "IJ";
    case 0x133:
        return "ij";
    case 0x149:
        return "'n";
    case 0x1f1:
        return "DZ";
    case 0x1f2:
        return "Dz";
    case 0x1f3:
        return "dz";
    default:
        return NULL;
    }
}

static int64_t count_letters(const char *letters) {
    int64_t n = 0;
    for (; letters && *letters; letters++)
        n += ((uint8_t)*letters & 0xc0) != 0x80;
    return letters ? n : 1;
}

/* ---- one line, in place ---- */

static int64_t expand_ligatures(uint32_t *code, int64_t n) {
    int64_t longer = 0;
    for (int64_t i = 0; i < n; i++)
        longer += count_letters(ligature(code[i])) - 1;
    const int64_t total = n + longer;
    /* From the end, so that what is longer never runs over what is still to be read. */
    for (int64_t i = n - 1, to = total; longer > 0; i--) {
        const char *letters = ligature(code[i]);
        const uint32_t own = code[i];
        int used = 0;
        to -= count_letters(letters);
        if (!letters) code[to] = own;
        for (int64_t k = to; letters && *letters; letters += used)
            code[k++] = reel_utf8_get(letters, (int64_t)strlen(letters), &used, NULL);
        if (to == i) break; /* all before this stands where it stood */
    }
    return total;
}

/* Length of the terminal escape at code ("\x1b[1;31m"), 0 when there is none. */
static int64_t escape_at(const uint32_t *code, int64_t n) {
    if (n < 3 || code[0] != 0x1b || code[1] != '[') return 0;
    int64_t i = 2;
    while (i < n && ((code[i] >= '0' && code[i] <= '9') || code[i] == ';'))
        i++;
    return i < n && (code[i] | 0x20) >= 'a' && (code[i] | 0x20) <= 'z' ? i + 1 : 0;
}

static int64_t make_plain(uint32_t *code, int64_t n) {
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++) {
        const int64_t escape = escape_at(code + i, n - i);
        if (escape > 0)
            i += escape - 1;
        else if (!is_control(code[i]))
            code[kept++] = plain(code[i]);
    }
    return kept;
}

/* ftfy's steps in its order, again and again until nothing changes: one repair may uncover another.
 * bytes: room for as many as there are characters. */
static int64_t fix_line(uint32_t *code, int64_t n, bool unescape, uint8_t *bytes) {
    for (int round = 0; round < MAX_ROUNDS; round++) {
        const int64_t before = n;
        if (unescape) n = reel_entities_unescape(code, n, true);
        n = reel_mojibake_repair(code, n, bytes);
        n = expand_ligatures(code, n);
        n = make_plain(code, n);
        if (n == before) break;
    }
    return n;
}

/* ---- the whole prompt ---- */

static int64_t collapse_spaces(uint32_t *code, int64_t n) {
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!is_space(code[i]))
            code[kept++] = code[i];
        else if (kept > 0 && code[kept - 1] != ' ')
            code[kept++] = ' ';
    }
    return kept > 0 && code[kept - 1] == ' ' ? kept - 1 : kept;
}

/* Line by line: a line's '<' says that it and what follows is HTML itself, whose references mean
 * what they say. */
static int64_t fix_lines(const char *text, int64_t bytes, uint32_t *code, uint8_t *room) {
    int64_t kept = 0;
    bool unescape = true;
    for (int64_t at = 0; at < bytes;) {
        int64_t n = 0;
        int used = 0;
        for (bool ended = false; at < bytes && !ended; at += used) {
            const uint32_t c = reel_utf8_get(text + at, bytes - at, &used, NULL);
            code[kept + n++] = c;
            ended = c == '\n';
            unescape &= c != '<';
        }
        kept += fix_line(code + kept, n, unescape, room);
    }
    kept = reel_entities_unescape(code, kept, false);
    kept = reel_entities_unescape(code, kept, false);
    return collapse_spaces(code, kept);
}

static reel_status write_text(reel_env *env, const uint32_t *code, int64_t n, char **clean,
                              int64_t *clean_bytes) {
    char *out = reel_alloc(env, 4 * n + 1, tag_text);
    if (!out) return REEL_E_NOMEM;
    int64_t bytes = 0;
    for (int64_t i = 0; i < n; i++)
        bytes += reel_utf8_put(code[i], out + bytes);
    out[bytes] = '\0';
    *clean = out;
    if (clean_bytes) *clean_bytes = bytes;
    return REEL_OK;
}

reel_status reel_prompt_clean(reel_env *env, const char *text, int64_t bytes, char **clean,
                              int64_t *clean_bytes) {
    if (bytes < 0 || bytes > MAX_PROMPT_BYTES)
        return reel_fail(env, REEL_E_ARG, "a prompt of %lld bytes, wanted 0 to %d",
                         (long long)bytes, MAX_PROMPT_BYTES);
    const int64_t room = MAX_EXPANSION * bytes;
    uint32_t *code = reel_alloc(env, room * (int64_t)sizeof *code, tag_text);
    uint8_t *page = reel_alloc(env, room, tag_text);
    reel_status status = REEL_E_NOMEM;
    if (code && page)
        status = write_text(env, code, fix_lines(text, bytes, code, page), clean, clean_bytes);
    reel_free(env, code);
    reel_free(env, page);
    return status;
}
