#include "text/mojibake.h"

#include <stdbool.h>
#include <stddef.h>

#include "text/entities.h"
#include "text/unicode.h"

enum { MAX_ROUNDS = 16 };

/* ---- the two code pages ---- */

/* The byte a character may have been read from: Latin-1's own, or Windows-1252's in 0x80-0x9f. -1
 * for any other character. */
static int page_byte(uint32_t code) {
    if (code < 0x100) return (int)code;
    for (int b = 0x80; b < 0xa0; b++)
        if (reel_windows_1252((uint8_t)b) == code) return b;
    return -1;
}

/* What the characters of Windows-1252 are good for, from 0x80 on. u l: accented letters, capital or
 * not; k: letters that faces are made of; b: seen in mojibake and hardly elsewhere; s e:
 * punctuation that begins or ends something; $: money; n: numbers and mathematics; .: anything. */
static const char page_class[] = "$.sbs.bbbbusu.u..s.se s..bele.lu"  /* 0x80 */
                                 ".s$$b$bsbsbsb.ebknnn.nb.bnbennns"  /* 0xa0 */
                                 "uuuuuuuuuuuuuuuuuukkkkknukkkuu.l"  /* 0xc0 */
                                 "llllllllllllllllllkkkkknkkkkk..."; /* 0xe0 */

static char class_of(uint32_t code) {
    if (code >= 0x80 && code < 0xa0) return 'c'; /* a control character */
    const int byte = code < 0x80 ? -1 : page_byte(code);
    return byte < 0x80 ? '.' : page_class[byte - 0x80];
}

/* ---- does it look broken? ---- */

static bool is_one_of(char c, const char *set) {
    for (; *set; set++)
        if (*set == c) return true;
    return false;
}

static bool is_small(uint32_t code) {
    return code >= 'a' && code <= 'z';
}

static bool is_word(uint32_t code) {
    return is_small(code | 0x20) || (code >= '0' && code <= '9') || code == '_' ||
           is_one_of(class_of(code), "ulk") || code > 0x24f;
}

/* Two neighbours that text does not have. */
static bool pair_is_bad(uint32_t first, uint32_t second) {
    const char a = class_of(first);
    const char b = class_of(second);
    return (b == 'b' && is_one_of(a, "blusen$")) || (a == 'b' && is_one_of(b, "lusen$")) ||
           (b == 'u' && is_one_of(a, "len$")) || (b == 'l' && is_one_of(a, "en$")) ||
           (b == '$' && is_one_of(a, "le")) || (b == 'n' && is_one_of(a, "ue")) ||
           (b == 's' && is_one_of(a, "n$"));
}

/* The same for what UTF-8 makes of the commonest characters: A with circumflex or tilde, I with
 * circumflex, Eth, a with grave, the multiplication sign, and what follows them there. */
static bool pair_is_typical(uint32_t first, uint32_t second) {
    if (first == 0xc2 || first == 0xc3 || first == 0xce || first == 0xd0) {
        static const uint16_t after[] = {0x20ac, 0x160, 0x161, 0xa2, 0x178, 0x17e,  0xa0,   0xad,
                                         0xae,   0xa9,  0xb0,  0xb7, 0xbb,  0x2013, 0x2014, 0xb4};
        for (int i = 0; i < (int)(sizeof after / sizeof after[0]); i++)
            if (second == after[i]) return true;
        return class_of(second) == 'e' || (first == 0xc3 && second == 0xa1);
    }
    if (first == 0xd7) return second == 0xb2 || second == 0xb3;
    if (first == 0xe0)
        return second == 0xb2 || second == 0xb5 || second == 0xb9 ||
               (second >= 0xbc && second <= 0xbe);
    return (first == 0x152 || first == 0x153) && !is_small(second);
}

/* Three neighbours, c being 0 past the end. */
static bool triple_is_bad(uint32_t first, uint32_t second, uint32_t third) {
    const char a = class_of(first);
    const char b = class_of(second);
    const char c = class_of(third);
    if (b == 'e' && is_one_of(a, "lun$") && c == 's') return true;
    if (b == 'e' && is_one_of(a, "lu") && is_word(third)) return true;
    if (b == 'u' && first == ' ' && c == '$') return true;
    if (b == 'u' && is_small(first) && is_one_of(c, "s$")) return true;
    return is_small(first) && second == 0xc3 && third == ' ';
}

static bool looks_broken(const uint32_t *code, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        if (class_of(code[i]) == 'c') return true;
        if (i + 1 == n || (code[i] < 0x80 && code[i + 1] < 0x80)) continue;
        if (pair_is_bad(code[i], code[i + 1]) || pair_is_typical(code[i], code[i + 1])) return true;
        if (i + 2 < n && triple_is_bad(code[i], code[i + 1], code[i + 2])) return true;
    }
    return false;
}

/* ---- undoing it ---- */

/* Length of the UTF-8 sequence that a byte begins; 1 for all others. */
static int led_by(int byte) {
    if (byte >= 0xc2 && byte <= 0xdf) return 2;
    if (byte >= 0xe0 && byte <= 0xef) return 3;
    return byte >= 0xf0 && byte <= 0xf4 ? 4 : 1;
}

/* Length of the sequence at code, when all of it could be one: what may continue is 0x80-0xbf, and
 * once in a sequence a space, which some programs make of 0xa0. 0 for none. */
static int sequence_at(const uint32_t *code, int64_t n) {
    const int length = led_by(page_byte(code[0]));
    int n_spaces = 0;
    if (length == 1 || length > n) return 0;
    for (int i = 1; i < length; i++) {
        const int byte = page_byte(code[i]);
        if (byte == ' ')
            n_spaces++;
        else if (byte < 0x80 || byte > 0xbf)
            return 0;
    }
    /* Of two-byte sequences with a space, those that make a likely character. */
    if (length == 2 && n_spaces && code[0] != 0xc3 && code[0] != 0xc2 && code[0] != 0xc5) return 0;
    return n_spaces <= 1 ? length : 0;
}

/* The characters as the bytes they were read from, spaces inside sequences made whole; false when
 * one has none. */
static bool to_bytes(const uint32_t *code, int64_t n, uint8_t *bytes) {
    for (int64_t i = 0; i < n;) {
        const int length = sequence_at(code + i, n - i);
        if (length == 0 && page_byte(code[i]) < 0) return false;
        for (int k = 0; k < (length ? length : 1); k++, i++) {
            const int byte = page_byte(code[i]);
            bytes[i] = (uint8_t)(byte == ' ' && k > 0 ? 0xa0 : byte);
        }
    }
    return true;
}

/* Reads n characters again as UTF-8, in place, when they are that to the last byte. Returns how
 * many there are then, or -1 and leaves them. "voilÃ le" keeps the space behind: it is more often a
 * word's end that lost its 0xa0 to a collapse of spaces than a letter inside a word. */
static int64_t read_again(uint32_t *code, int64_t n, uint8_t *bytes) {
    const char *text = (const char *)bytes;
    if (!to_bytes(code, n, bytes) || !reel_utf8_sound(text, n)) return -1;
    int64_t kept = 0;
    int used = 0;
    for (int64_t i = 0; i < n; i += used) {
        const bool word_after = code[i] == 0xc3 && i + 2 < n && code[i + 1] == ' ';
        code[kept++] = reel_utf8_get(text + i, n - i, &used, NULL);
        if (word_after) code[kept++] = ' ';
    }
    return kept;
}

/* Repairs the runs of sequences that look broken by themselves. */
static int64_t repair_runs(uint32_t *code, int64_t n, uint8_t *bytes) {
    int64_t kept = 0;
    for (int64_t i = 0; i < n;) {
        int64_t run = 0;
        for (int length = 1; length > 0 && i + run < n; run += length)
            length = sequence_at(code + i + run, n - i - run);
        const int64_t left =
            run > 0 && looks_broken(code + i, run) ? read_again(code + i, run, bytes) : -1;
        const int64_t copied = left >= 0 ? left : run > 0 ? run : 1;
        for (int64_t k = 0; k < copied; k++)
            code[kept++] = code[i + k];
        i += run > 0 ? run : 1;
    }
    return kept;
}

static bool repair_controls(uint32_t *code, int64_t n) {
    bool changed = false;
    for (int64_t i = 0; i < n; i++) {
        if (code[i] < 0x80 || code[i] > 0x9f) continue;
        const uint32_t meant = reel_windows_1252((uint8_t)code[i]);
        changed |= meant != code[i];
        code[i] = meant;
    }
    return changed;
}

int64_t reel_mojibake_repair(uint32_t *code, int64_t n, uint8_t *bytes) {
    /* A text broken k times over is 2^k times as long; the bound is for text that is made to be
     * slow. */
    for (int round = 0; round < MAX_ROUNDS && n > 0 && looks_broken(code, n); round++) {
        int64_t left = read_again(code, n, bytes);
        if (left < 0) left = repair_runs(code, n, bytes);
        if (left < n) {
            n = left;
            continue;
        }
        if (!repair_controls(code, n)) break;
    }
    return n;
}
