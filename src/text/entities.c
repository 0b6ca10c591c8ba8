#include "text/entities.h"

#include <stddef.h>
#include <string.h>

#include "text/unicode.h"

typedef struct entity {
    const char *name;
    uint32_t code; /* | OPEN where no semicolon is needed */
} entity;

#define OPEN (1u << 31)

/* HTML standard, 13.5 "Named character references"; in the order of strcmp. */
/* clang-format off */
static const entity entities[] = { /* several on a line: else it is five pages */
    {"AElig", 0xc6 | OPEN}, {"AMP", 0x26 | OPEN}, {"Aacute", 0xc1 | OPEN}, {"Abreve", 0x102},
    {"Acirc", 0xc2 | OPEN}, {"Agrave", 0xc0 | OPEN}, {"Alpha", 0x391}, {"Amacr", 0x100},
    {"Aogon", 0x104}, {"Aring", 0xc5 | OPEN}, {"Atilde", 0xc3 | OPEN}, {"Auml", 0xc4 | OPEN},
    {"Beta", 0x392}, {"COPY", 0xa9 | OPEN}, {"Cacute", 0x106}, {"Ccaron", 0x10c},
    {"Ccedil", 0xc7 | OPEN}, {"Ccirc", 0x108}, {"Cdot", 0x10a}, {"Cedilla", 0xb8},
    {"CenterDot", 0xb7}, {"Chi", 0x3a7}, {"Dagger", 0x2021}, {"Dcaron", 0x10e}, {"Delta", 0x394},
    {"DiacriticalAcute", 0xb4}, {"DiacriticalGrave", 0x60}, {"Dot", 0xa8}, {"DoubleDot", 0xa8},
    {"Dstrok", 0x110}, {"ENG", 0x14a}, {"ETH", 0xd0 | OPEN}, {"Eacute", 0xc9 | OPEN},
    {"Ecaron", 0x11a}, {"Ecirc", 0xca | OPEN}, {"Edot", 0x116}, {"Egrave", 0xc8 | OPEN},
    {"Emacr", 0x112}, {"Eogon", 0x118}, {"Epsilon", 0x395}, {"Eta", 0x397}, {"Euml", 0xcb | OPEN},
    {"GT", 0x3e | OPEN}, {"Gamma", 0x393}, {"Gbreve", 0x11e}, {"Gcedil", 0x122}, {"Gcirc", 0x11c},
    {"Gdot", 0x120}, {"Hat", 0x5e}, {"Hcirc", 0x124}, {"Hstrok", 0x126}, {"IJlig", 0x132},
    {"Iacute", 0xcd | OPEN}, {"Icirc", 0xce | OPEN}, {"Idot", 0x130}, {"Igrave", 0xcc | OPEN},
    {"Imacr", 0x12a}, {"Iogon", 0x12e}, {"Iota", 0x399}, {"Itilde", 0x128}, {"Iuml", 0xcf | OPEN},
    {"Jcirc", 0x134}, {"Kappa", 0x39a}, {"Kcedil", 0x136}, {"LT", 0x3c | OPEN}, {"Lacute", 0x139},
    {"Lambda", 0x39b}, {"Lcaron", 0x13d}, {"Lcedil", 0x13b}, {"Lmidot", 0x13f}, {"Lstrok", 0x141},
    {"Mu", 0x39c}, {"Nacute", 0x143}, {"Ncaron", 0x147}, {"Ncedil", 0x145}, {"NewLine", 0xa},
    {"NonBreakingSpace", 0xa0}, {"Ntilde", 0xd1 | OPEN}, {"Nu", 0x39d}, {"OElig", 0x152},
    {"Oacute", 0xd3 | OPEN}, {"Ocirc", 0xd4 | OPEN}, {"Odblac", 0x150}, {"Ograve", 0xd2 | OPEN},
    {"Omacr", 0x14c}, {"Omega", 0x3a9}, {"Omicron", 0x39f}, {"Oslash", 0xd8 | OPEN},
    {"Otilde", 0xd5 | OPEN}, {"Ouml", 0xd6 | OPEN}, {"OverBar", 0x203e}, {"Phi", 0x3a6},
    {"Pi", 0x3a0}, {"PlusMinus", 0xb1}, {"Prime", 0x2033}, {"Psi", 0x3a8}, {"QUOT", 0x22 | OPEN},
    {"REG", 0xae | OPEN}, {"Racute", 0x154}, {"Rcaron", 0x158}, {"Rcedil", 0x156}, {"Rho", 0x3a1},
    {"Sacute", 0x15a}, {"Scaron", 0x160}, {"Scedil", 0x15e}, {"Scirc", 0x15c}, {"Sigma", 0x3a3},
    {"THORN", 0xde | OPEN}, {"Tab", 0x9}, {"Tau", 0x3a4}, {"Tcaron", 0x164}, {"Tcedil", 0x162},
    {"Theta", 0x398}, {"Tstrok", 0x166}, {"Uacute", 0xda | OPEN}, {"Ubreve", 0x16c},
    {"Ucirc", 0xdb | OPEN}, {"Udblac", 0x170}, {"Ugrave", 0xd9 | OPEN}, {"Umacr", 0x16a},
    {"UnderBar", 0x5f}, {"Uogon", 0x172}, {"Upsilon", 0x3a5}, {"Uring", 0x16e}, {"Utilde", 0x168},
    {"Uuml", 0xdc | OPEN}, {"VerticalLine", 0x7c}, {"Wcirc", 0x174}, {"Xi", 0x39e},
    {"Yacute", 0xdd | OPEN}, {"Ycirc", 0x176}, {"Yuml", 0x178}, {"Zacute", 0x179},
    {"Zcaron", 0x17d}, {"Zdot", 0x17b}, {"Zeta", 0x396}, {"aacute", 0xe1 | OPEN}, {"abreve", 0x103},
    {"acirc", 0xe2 | OPEN}, {"acute", 0xb4 | OPEN}, {"aelig", 0xe6 | OPEN}, {"agrave", 0xe0 | OPEN},
    {"alefsym", 0x2135}, {"alpha", 0x3b1}, {"amacr", 0x101}, {"amp", 0x26 | OPEN}, {"and", 0x2227},
    {"ang", 0x2220}, {"angst", 0xc5}, {"aogon", 0x105}, {"apos", 0x27}, {"aring", 0xe5 | OPEN},
    {"ast", 0x2a}, {"asymp", 0x2248}, {"atilde", 0xe3 | OPEN}, {"auml", 0xe4 | OPEN},
    {"bdquo", 0x201e}, {"beta", 0x3b2}, {"bigstar", 0x2605}, {"bprime", 0x2035},
    {"brvbar", 0xa6 | OPEN}, {"bsol", 0x5c}, {"bull", 0x2022}, {"bullet", 0x2022},
    {"cacute", 0x107}, {"cap", 0x2229}, {"caret", 0x2041}, {"ccaron", 0x10d},
    {"ccedil", 0xe7 | OPEN}, {"ccirc", 0x109}, {"cdot", 0x10b}, {"cedil", 0xb8 | OPEN},
    {"cent", 0xa2 | OPEN}, {"centerdot", 0xb7}, {"check", 0x2713}, {"chi", 0x3c7}, {"circ", 0x2c6},
    {"circledR", 0xae}, {"clubs", 0x2663}, {"clubsuit", 0x2663}, {"colon", 0x3a}, {"comma", 0x2c},
    {"commat", 0x40}, {"cong", 0x2245}, {"copy", 0xa9 | OPEN}, {"crarr", 0x21b5}, {"cross", 0x2717},
    {"cup", 0x222a}, {"curren", 0xa4 | OPEN}, {"dArr", 0x21d3}, {"dagger", 0x2020},
    {"darr", 0x2193}, {"dcaron", 0x10f}, {"ddagger", 0x2021}, {"deg", 0xb0 | OPEN},
    {"delta", 0x3b4}, {"diams", 0x2666}, {"die", 0xa8}, {"div", 0xf7}, {"divide", 0xf7 | OPEN},
    {"dollar", 0x24}, {"dstrok", 0x111}, {"eacute", 0xe9 | OPEN}, {"ecaron", 0x11b},
    {"ecirc", 0xea | OPEN}, {"edot", 0x117}, {"egrave", 0xe8 | OPEN}, {"emacr", 0x113},
    {"empty", 0x2205}, {"emsp", 0x2003}, {"eng", 0x14b}, {"ensp", 0x2002}, {"eogon", 0x119},
    {"epsilon", 0x3b5}, {"equals", 0x3d}, {"equiv", 0x2261}, {"eta", 0x3b7}, {"eth", 0xf0 | OPEN},
    {"euml", 0xeb | OPEN}, {"euro", 0x20ac}, {"excl", 0x21}, {"exist", 0x2203}, {"female", 0x2640},
    {"flat", 0x266d}, {"fnof", 0x192}, {"forall", 0x2200}, {"frac12", 0xbd | OPEN},
    {"frac14", 0xbc | OPEN}, {"frac34", 0xbe | OPEN}, {"frasl", 0x2044}, {"gamma", 0x3b3},
    {"gbreve", 0x11f}, {"gcirc", 0x11d}, {"gdot", 0x121}, {"ge", 0x2265}, {"grave", 0x60},
    {"gt", 0x3e | OPEN}, {"hArr", 0x21d4}, {"half", 0xbd}, {"harr", 0x2194}, {"hcirc", 0x125},
    {"hearts", 0x2665}, {"hellip", 0x2026}, {"hstrok", 0x127}, {"hybull", 0x2043},
    {"iacute", 0xed | OPEN}, {"icirc", 0xee | OPEN}, {"iexcl", 0xa1 | OPEN},
    {"igrave", 0xec | OPEN}, {"ijlig", 0x133}, {"imacr", 0x12b}, {"image", 0x2111},
    {"imath", 0x131}, {"infin", 0x221e}, {"inodot", 0x131}, {"int", 0x222b}, {"iogon", 0x12f},
    {"iota", 0x3b9}, {"iquest", 0xbf | OPEN}, {"isin", 0x2208}, {"itilde", 0x129},
    {"iuml", 0xef | OPEN}, {"jcirc", 0x135}, {"kappa", 0x3ba}, {"kcedil", 0x137}, {"kgreen", 0x138},
    {"lArr", 0x21d0}, {"lacute", 0x13a}, {"lambda", 0x3bb}, {"lang", 0x27e8},
    {"laquo", 0xab | OPEN}, {"larr", 0x2190}, {"lbbrk", 0x2772}, {"lbrace", 0x7b}, {"lbrack", 0x5b},
    {"lcaron", 0x13e}, {"lcedil", 0x13c}, {"lceil", 0x2308}, {"lcub", 0x7b}, {"ldquo", 0x201c},
    {"ldquor", 0x201e}, {"le", 0x2264}, {"lfloor", 0x230a}, {"lmidot", 0x140}, {"lowast", 0x2217},
    {"lowbar", 0x5f}, {"loz", 0x25ca}, {"lpar", 0x28}, {"lrm", 0x200e}, {"lsaquo", 0x2039},
    {"lsqb", 0x5b}, {"lsquo", 0x2018}, {"lsquor", 0x201a}, {"lstrok", 0x142}, {"lt", 0x3c | OPEN},
    {"macr", 0xaf | OPEN}, {"male", 0x2642}, {"malt", 0x2720}, {"maltese", 0x2720},
    {"mdash", 0x2014}, {"micro", 0xb5 | OPEN}, {"midast", 0x2a}, {"middot", 0xb7 | OPEN},
    {"minus", 0x2212}, {"mldr", 0x2026}, {"mu", 0x3bc}, {"nabla", 0x2207}, {"nacute", 0x144},
    {"napos", 0x149}, {"natur", 0x266e}, {"natural", 0x266e}, {"nbsp", 0xa0 | OPEN},
    {"ncaron", 0x148}, {"ncedil", 0x146}, {"ndash", 0x2013}, {"ne", 0x2260}, {"nearr", 0x2197},
    {"ni", 0x220b}, {"nldr", 0x2025}, {"not", 0xac | OPEN}, {"notin", 0x2209}, {"nsub", 0x2284},
    {"ntilde", 0xf1 | OPEN}, {"nu", 0x3bd}, {"num", 0x23}, {"nwarr", 0x2196},
    {"oacute", 0xf3 | OPEN}, {"ocirc", 0xf4 | OPEN}, {"odblac", 0x151}, {"oelig", 0x153},
    {"ograve", 0xf2 | OPEN}, {"oline", 0x203e}, {"omacr", 0x14d}, {"omega", 0x3c9},
    {"omicron", 0x3bf}, {"oplus", 0x2295}, {"or", 0x2228}, {"ordf", 0xaa | OPEN},
    {"ordm", 0xba | OPEN}, {"oslash", 0xf8 | OPEN}, {"otilde", 0xf5 | OPEN}, {"otimes", 0x2297},
    {"ouml", 0xf6 | OPEN}, {"para", 0xb6 | OPEN}, {"part", 0x2202}, {"percnt", 0x25},
    {"period", 0x2e}, {"permil", 0x2030}, {"perp", 0x22a5}, {"pertenk", 0x2031}, {"phi", 0x3c6},
    {"phone", 0x260e}, {"pi", 0x3c0}, {"piv", 0x3d6}, {"plus", 0x2b}, {"plusmn", 0xb1 | OPEN},
    {"pm", 0xb1}, {"pound", 0xa3 | OPEN}, {"prime", 0x2032}, {"prod", 0x220f}, {"prop", 0x221d},
    {"psi", 0x3c8}, {"quest", 0x3f}, {"quot", 0x22 | OPEN}, {"rArr", 0x21d2}, {"racute", 0x155},
    {"radic", 0x221a}, {"rang", 0x27e9}, {"raquo", 0xbb | OPEN}, {"rarr", 0x2192},
    {"rbbrk", 0x2773}, {"rbrace", 0x7d}, {"rbrack", 0x5d}, {"rcaron", 0x159}, {"rcedil", 0x157},
    {"rceil", 0x2309}, {"rcub", 0x7d}, {"rdquo", 0x201d}, {"rdquor", 0x201d}, {"real", 0x211c},
    {"reg", 0xae | OPEN}, {"rfloor", 0x230b}, {"rho", 0x3c1}, {"rlm", 0x200f}, {"rpar", 0x29},
    {"rsaquo", 0x203a}, {"rsqb", 0x5d}, {"rsquo", 0x2019}, {"rsquor", 0x2019}, {"sacute", 0x15b},
    {"sbquo", 0x201a}, {"scaron", 0x161}, {"scedil", 0x15f}, {"scirc", 0x15d}, {"sdot", 0x22c5},
    {"searr", 0x2198}, {"sect", 0xa7 | OPEN}, {"semi", 0x3b}, {"sext", 0x2736}, {"sharp", 0x266f},
    {"shy", 0xad | OPEN}, {"sigma", 0x3c3}, {"sigmaf", 0x3c2}, {"sim", 0x223c}, {"slarr", 0x2190},
    {"sol", 0x2f}, {"spades", 0x2660}, {"srarr", 0x2192}, {"star", 0x2606}, {"starf", 0x2605},
    {"strns", 0xaf}, {"sub", 0x2282}, {"sube", 0x2286}, {"sum", 0x2211}, {"sung", 0x266a},
    {"sup", 0x2283}, {"sup1", 0xb9 | OPEN}, {"sup2", 0xb2 | OPEN}, {"sup3", 0xb3 | OPEN},
    {"supe", 0x2287}, {"swarr", 0x2199}, {"szlig", 0xdf | OPEN}, {"tau", 0x3c4}, {"tcaron", 0x165},
    {"tcedil", 0x163}, {"there4", 0x2234}, {"theta", 0x3b8}, {"thetasym", 0x3d1},
    {"thinsp", 0x2009}, {"thorn", 0xfe | OPEN}, {"tilde", 0x2dc}, {"times", 0xd7 | OPEN},
    {"tprime", 0x2034}, {"trade", 0x2122}, {"tstrok", 0x167}, {"uArr", 0x21d1},
    {"uacute", 0xfa | OPEN}, {"uarr", 0x2191}, {"ubreve", 0x16d}, {"ucirc", 0xfb | OPEN},
    {"udblac", 0x171}, {"ugrave", 0xf9 | OPEN}, {"umacr", 0x16b}, {"uml", 0xa8 | OPEN},
    {"uogon", 0x173}, {"upsih", 0x3d2}, {"upsilon", 0x3c5}, {"uring", 0x16f}, {"utilde", 0x169},
    {"uuml", 0xfc | OPEN}, {"varr", 0x2195}, {"verbar", 0x7c}, {"vert", 0x7c}, {"wcirc", 0x175},
    {"weierp", 0x2118}, {"xi", 0x3be}, {"yacute", 0xfd | OPEN}, {"ycirc", 0x177},
    {"yen", 0xa5 | OPEN}, {"yuml", 0xff | OPEN}, {"zacute", 0x17a}, {"zcaron", 0x17e},
    {"zdot", 0x17c}, {"zeta", 0x3b6}, {"zwj", 0x200d}, {"zwnj", 0x200c},
};
/* clang-format on */
enum { N_ENTITIES = sizeof entities / sizeof entities[0], MAX_NAME = 32 };

uint32_t reel_windows_1252(uint8_t byte) {
    static const uint16_t code[32] = {
        0x20ac, 0x81,   0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021, 0x2c6,  0x2030, 0x160,
        0x2039, 0x152,  0x8d,   0x17d,  0x8f,   0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
        0x2013, 0x2014, 0x2dc,  0x2122, 0x161,  0x203a, 0x153,  0x9d,   0x17e,  0x178,
    };
    return code[byte & 31];
}

static const entity *find_name(const char *name) {
    int low = 0;
    int high = N_ENTITIES;
    while (low < high) {
        const int middle = (low + high) / 2;
        const int order = strcmp(name, entities[middle].name);
        if (order == 0) return &entities[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static int digit_value(uint32_t c, int base) {
    if (c >= '0' && c <= '9') return (int)(c - '0');
    if (base == 16 && c >= 'a' && c <= 'f') return (int)(c - 'a') + 10;
    if (base == 16 && c >= 'A' && c <= 'F') return (int)(c - 'A') + 10;
    return -1;
}

/* What a number stands for; 0 for nothing at all. */
static uint32_t number_code(uint32_t number) {
    if (number == 0 || (number >= 0xd800 && number <= 0xdfff) || number > REEL_MAX_CODE)
        return REEL_REPLACEMENT;
    if (number >= 0x80 && number <= 0x9f) return reel_windows_1252((uint8_t)number);
    const bool control =
        number < 0x20 && number != '\t' && number != '\n' && number != '\f' && number != '\r';
    const bool none = (number >= 0xfdd0 && number <= 0xfdef) || (number & 0xfffe) == 0xfffe;
    return control || none || number == 0x7f ? 0 : number;
}

/* A reference read at code[0] == '&': how many characters it takes (0: none is there) and what it
 * stands for (0: nothing). */
static int64_t read_number(const uint32_t *code, int64_t n, bool closed, uint32_t *meaning) {
    const bool hex = n > 2 && (code[2] == 'x' || code[2] == 'X');
    const int base = hex ? 16 : 10;
    int64_t i = hex ? 3 : 2;
    const int64_t first = i;
    uint32_t number = 0;
    for (; i < n && digit_value(code[i], base) >= 0; i++)
        if (number <= REEL_MAX_CODE) number = number * base + (uint32_t)digit_value(code[i], base);
    if (i == first) return 0;
    const bool ended = i < n && code[i] == ';';
    if (closed && !ended) return 0;
    *meaning = number_code(number);
    return i + ended;
}

static int64_t read_name(const uint32_t *code, int64_t n, bool closed, uint32_t *meaning) {
    char name[MAX_NAME + 1];
    int length = 0;
    for (; length < MAX_NAME && length + 1 < n; length++) {
        const uint32_t c = code[length + 1];
        const bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z' && c < 0x80;
        if (!letter && !(c >= '0' && c <= '9')) break;
        name[length] = (char)c;
    }
    name[length] = '\0';
    const bool ended = length + 1 < n && code[length + 1] == ';';
    const entity *found = ended || !closed ? find_name(name) : NULL;
    if (found && (ended || found->code & OPEN)) {
        *meaning = found->code & ~OPEN;
        return length + 1 + ended;
    }
    if (closed) return 0;
    for (length--; length > 1; length--) { /* "&notit": the longest name it begins with */
        name[length] = '\0';
        found = find_name(name);
        if (!found || !(found->code & OPEN)) continue;
        *meaning = found->code & ~OPEN;
        return length + 1;
    }
    return 0;
}

int64_t reel_entities_unescape(uint32_t *code, int64_t n, bool closed) {
    int64_t kept = 0;
    for (int64_t i = 0; i < n;) {
        uint32_t meaning = 0;
        int64_t taken = 0;
        if (code[i] == '&' && i + 1 < n)
            taken = code[i + 1] == '#' ? read_number(code + i, n - i, closed, &meaning)
                                       : read_name(code + i, n - i, closed, &meaning);
        if (taken == 0)
            code[kept++] = code[i++];
        else if (meaning != 0)
            code[kept++] = meaning;
        i += taken;
    }
    return kept;
}
