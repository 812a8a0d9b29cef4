// Vectors of the width that this file is compiled for, through GCC's and Clang's vector extensions.
// Included by kernels.inc only; no standard templates here, so that no wide instruction leaks into shared inline code.
#pragma once

#include <cstdint>
#include <cstring>

namespace {

constexpr int VL = LOCALFT_VECTOR_BYTES / 4;

typedef float    vf __attribute__((vector_size(LOCALFT_VECTOR_BYTES)));
typedef int32_t  vi __attribute__((vector_size(LOCALFT_VECTOR_BYTES)));
typedef uint32_t vu __attribute__((vector_size(LOCALFT_VECTOR_BYTES)));

inline vf load(const float * p) {
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}

inline void store(float * p, vf v) {
    memcpy(p, &v, sizeof v);
}

inline vf all(float s) {
    return s - vf{};
}

inline vf select(vi mask, vf yes, vf no) {
    return mask ? yes : no;
}

inline vi load_ints(const int32_t * p) {
    vi v;
    memcpy(&v, p, sizeof v);
    return v;
}

inline void store_ints(int32_t * p, vi v) {
    memcpy(p, &v, sizeof v);
}

// The low 16 bits of each lane, side by side.
inline void store_shorts(int16_t * p, vi v) {
    typedef int16_t vs __attribute__((vector_size(LOCALFT_VECTOR_BYTES / 2)));
    const vs        narrow = __builtin_convertvector(v, vs);
    memcpy(p, &narrow, sizeof narrow);
}

inline vf load_shorts(const int16_t * p) {
    typedef int16_t vs __attribute__((vector_size(LOCALFT_VECTOR_BYTES / 2)));
    vs              narrow;
    memcpy(&narrow, p, sizeof narrow);
    return __builtin_convertvector(narrow, vf);
}

// sum += a · b in each lane: two signed values of 16 bits times two.
inline void dot_pairs(vi & sum, vi a, vi b) {
#if defined(__AVX512VNNI__)
    __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b)); // GCC 12 spills the registers of the intrinsic
#elif defined(__AVX2__)
    vi pairs;
    __asm__("vpmaddwd %2, %1, %0" : "=v"(pairs) : "v"(a), "v"(b));
    sum = (vi) ((vu) sum + (vu) pairs); // unsigned: what NaN was quantised to may overflow, and counts for nothing
#else
    const vi low = ((vi) ((vu) a << 16) >> 16) * ((vi) ((vu) b << 16) >> 16), high = (a >> 16) * (b >> 16);
    sum = (vi) ((vu) sum + (vu) low + (vu) high);
#endif
}

// Twice as many lanes of 16 bits.
typedef int16_t vh __attribute__((vector_size(LOCALFT_VECTOR_BYTES)));

// a · b / 2¹⁵ in each lane, to the nearest.
inline vh product_of_fractions(vh a, vh b) {
#if defined(__AVX2__)
    vh c;
    __asm__("vpmulhrsw %2, %1, %0" : "=v"(c) : "v"(a), "v"(b));
    return c;
#else
    typedef int32_t wide __attribute__((vector_size(2 * LOCALFT_VECTOR_BYTES)));
    return __builtin_convertvector((__builtin_convertvector(a, wide) * __builtin_convertvector(b, wide) + (1 << 14)) >> 15, vh);
#endif
}

// |x| as bits, which order as numbers do; above them infinity, and above that NaN.
inline vi magnitude(vf x) {
    return (vi) x & 0x7fffffff;
}

inline vi larger(vi a, vi b) {
    return b > a ? b : a;
}

inline vf larger(vf a, vf b) {
    return b > a ? b : a;
}

// The nearest integer of |x| < 2²²: adding 1.5 · 2²³ leaves it in the low bits.
inline vi nearest(vf x) {
    const vf shift = all(12582912.0f);
    return (vi) (x + shift) - (vi) shift;
}

// Lanes 0 … VL − 1 as a pack.
template <int... J>
struct Lanes {};
template <int N, int... J>
struct LanesTo : LanesTo<N - 1, N - 1, J...> {};
template <int... J>
struct LanesTo<0, J...> {
    using type = Lanes<J...>;
};

// Each lane changes places with the one S away.
template <int S, int... J>
inline vf swapped_lanes(vf x, Lanes<J...>) {
#if defined(__clang__) || __GNUC__ >= 12
    return __builtin_shufflevector(x, x, (J ^ S)...);
#else
    return __builtin_shuffle(x, vi{ (J ^ S)... });
#endif
}

template <int S>
inline vf swapped(vf x) {
    return swapped_lanes<S>(x, typename LanesTo<VL>::type{});
}

// The sum and the largest of the lanes, by halves.
template <int S>
inline vf sum_halves(vf x) {
    x += swapped<S>(x);
    if constexpr (S > 1) return sum_halves<S / 2>(x);
    else return x;
}

template <int S, typename V>
inline V max_halves(V x) {
    x = larger(x, (V) swapped<S>((vf) x));
    if constexpr (S > 1) return max_halves<S / 2>(x);
    else return x;
}

inline float sum(vf x) {
    return sum_halves<VL / 2>(x)[0];
}

inline float max(vf x) {
    return max_halves<VL / 2>(x)[0];
}

inline vi all_max(vi x) {
    return max_halves<VL / 2>(x);
}

// e^x of −87 ≤ x ≤ 88 within 2 units in the last place. Cody-Waite reduction, then the Taylor series to degree 7
// on [−ln2/2, ln2/2], whose remainder is under 1e-8 of the value.
inline vf exp_in_range(vf x) {
    const vf round = all(12582912.0f);                 // 1.5 · 2²³: adding it rounds to an integer
    const vf bits  = x * 1.44269504088896341f + round; // and leaves it in the low bits
    const vf n     = bits - round;
    const vf r     = (x - n * 0.693145751953125f) - n * 1.42860682030941723e-6f;
    vf       p     = all(1.0f / 5040.0f);
    p              = p * r + 1.0f / 720.0f;
    p              = p * r + 1.0f / 120.0f;
    p              = p * r + 1.0f / 24.0f;
    p              = p * r + 1.0f / 6.0f;
    p              = p * r + 0.5f;
    p              = p * r + 1.0f;
    p              = p * r + 1.0f;
    return p * (vf) (((vu) bits + 127) << 23); // times 2ⁿ; a product, as NaN must stay NaN
}

// 0 below −87, e⁸⁸ above 88.
inline vf exp(vf x) {
    const vf least = all(-87.0f), most = all(88.0f);
    const vf held = larger(x, least);
    return select(x < least, vf{}, exp_in_range(held > most ? most : held));
}

// Of x up to about 0, where e⁻⁸⁷ = 1.6e-38 may stand for less.
inline vf exp_of_negative(vf x) {
    return exp_in_range(larger(x, all(-87.0f)));
}

// Of every 2 S lanes: the low halves of a and b side by side, or the high ones. GCC knows the first spelling from version 12 on.
template <int S, bool HIGH, int... J>
inline vf halves(vf a, vf b, Lanes<J...>) {
#if defined(__clang__) || __GNUC__ >= 12
    return __builtin_shufflevector(a, b, ((J & S) ? VL + J - (HIGH ? 0 : S) : J + (HIGH ? S : 0))...);
#else
    return __builtin_shuffle(a, b, vi{ ((J & S) ? VL + J - (HIGH ? 0 : S) : J + (HIGH ? S : 0))... });
#endif
}

template <int S>
inline void exchange_blocks(vf (&x)[VL]) {
    using All = typename LanesTo<VL>::type;
#pragma GCC unroll 16
    for (int i = 0; i < VL; i++) {
        if (i & S) continue;
        const vf low = halves<S, false>(x[i], x[i + S], All{}), high = halves<S, true>(x[i], x[i + S], All{});
        x[i]     = low;
        x[i + S] = high;
    }
}

// x, a matrix of VL × VL, in place: blocks of half its side change places, then of a quarter, down to single values.
inline void transpose(vf (&x)[VL]) {
    if constexpr (VL > 8) exchange_blocks<8>(x);
    if constexpr (VL > 4) exchange_blocks<4>(x);
    exchange_blocks<2>(x);
    exchange_blocks<1>(x);
}

} // namespace
