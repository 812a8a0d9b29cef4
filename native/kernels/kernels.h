// CPU kernels, compiled once per instruction set and chosen at run time. A weight of any type is dequantised panel by panel
// while it is in cache, in whichever direction the product runs; the arithmetic is f32, but for product16.
// Every output element is summed by one thread in one order, so results do not depend on the number of threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace localft::kernels {

using ToFloat = void (*)(const void * blocks, float * values, int64_t n);

// The right operand of a product: a matrix of any ggml type, read along its rows or across them.
struct Operand {
    const void * data;
    ToFloat      to_float;  // null: the data are f32
    size_t       row_bytes; // from one stored row to the next
    int64_t      block;     // values per block, 1 for float types
    size_t       block_bytes;
    bool         stored_nk;    // true: stored [n][k] (y = x Wᵀ); false: stored [k][n] (dx = dy W)
    bool         q8_0 = false; // what product16 packs without a way through f32
};

// c = init + a b + a2 b2, where a b has depth k and the low-rank tail a2 b2 has depth k2.
struct Product {
    int64_t       m, n, k;
    const float * a;        // [m][k]
    int64_t       a_stride; // floats between rows
    Operand       b;
    const float * init; // [m][n] or null for zero; may be c itself
    int64_t       init_stride;
    float *       c; // [m][n]
    int64_t       c_stride;
    int64_t       k2; // 0: no tail
    const float * a2; // [m][k2]
    int64_t       a2_stride;
    const float * b2; // [k2][n], contiguous
};

constexpr int64_t MAX_FACTORS = 3; // that one visit of rows can meet: q, k and v

constexpr int64_t THIN = 32; // ranks up to here are products without packing; more rows would not stay in cache

// Rows on their way into products: read or made, written as products read them, and multiplied by LoRA's factors.
struct Rows {
    enum class From { given, norm, swiglu, swiglu_back };
    enum class As { nothing, f32, int16 };

    // out [m][low] = scale · row factorᵀ, of the first or the second part of what is made
    struct Factor {
        const float * rows; // [rank][k], contiguous
        int           part;
    };

    From          from;
    int64_t       m, k;     // rows, and their width
    const float * x;        // given: the rows; norm: what is normalised; else gate
    int64_t       x_stride; // floats between rows, here and below
    const float * y;        // norm: its weights [k]; else up
    int64_t       y_stride;
    bool          xy16; // gate and up are rows in 16 bits
    const float * da;   // swiglu_back: [m][k], contiguous. Makes two parts, dgate and dup, where a = silu(gate) ∘ up
    float         eps;  // of the norm
    As            as;
    float *       out; // a row: the parts as `as` says, then s · row factorᵀ of each factor
    int64_t       out_stride;
    int64_t       n_factor, rank;
    Factor        factor[MAX_FACTORS];
    float         scale;
};

// c [m][n] += aᵀ b where m is small: a [k][m], b [k][n]
struct Outer {
    int64_t       m, n, k;
    const float * a;
    int64_t       a_stride;
    const float * b;
    int64_t       b_stride;
    bool          b16; // b's rows are in 16 bits
    float *       c;
};

// Causal attention inside each row; grouped KV heads. q, o: [n_tok][n_head * n_embd_head]; k, v: [n_tok][n_head_kv * ...].
struct Attention {
    int64_t         n_head, n_head_kv, n_embd_head;
    const int32_t * row_starts; // [n_row + 1]
    int64_t         n_row;
    float           scale;
    const float *   q;
    const float *   k;
    const float *   v;
    float *         o;
    float *         lse; // [n_head][n_tok] logsumexp of the scaled scores, from the forward to the backward pass
    const float *   d_o; // backward only, as are the three below, shaped like o, q, k and v
    float *         dq;
    float *         dk;
    float *         dv;
};

constexpr int64_t BLOCK = 128; // values along the depth that share a scale

// Floats that a row of k values takes in 16 bits each, padded to whole blocks, with an f32 scale for each block.
inline int64_t quantised_floats(int64_t k) {
    return (k + BLOCK - 1) / BLOCK * (BLOCK / 2 + 1);
}

// Hands out an operation's units of work to its threads, first come, first served: a thread that is held up, or runs on a slower
// core, takes fewer. No result depends on who took what.
struct Turns {
    int64_t next = 0;
    int     left = 0; // threads that have found nothing more to take

    int64_t take() { return __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED); }
    // Every thread's last call; the last of `nth` makes it ready for the next time.
    void leave(int nth) {
        if (__atomic_add_fetch(&left, 1, __ATOMIC_ACQ_REL) == nth) *this = {};
    }
};

struct Table {
    const char * name;
    bool         fast16; // product16 is faster than product
    void (*product)(const Product & p, Turns & turns, int nth);
    // The same in integers of 16 bits: p.a holds rows in 16 bits, a_stride floats apart; the tail stays in f32
    void (*product16)(const Product & p, Turns & turns, int nth);
    void (*rows)(const Rows & p, Turns & turns, int nth);
    void (*outer)(const Outer & p, Turns & turns, int nth);
    void (*attention)(const Attention & p, Turns & turns, int nth);
    void (*attention_back)(const Attention & p, Turns & turns, int nth);
    // One row: dx = add + r (z − x r² mean(z∘x)), z = dh∘g, r = 1/√(mean x² + eps); add may be null
    void (*rms_norm_back)(const float * dh, const float * x, const float * g, const float * add, float * dx, int64_t n, float eps);
    // One row of logits: returns logsumexp − logits[target] in nats, and replaces logits by softmax − onehot
    float (*cross_entropy)(float * logits, int64_t n, int32_t target);
    ToFloat q8_0_to_float, q4_0_to_float, q6_k_to_float;
};

// The table called `name` ("avx512vnni", "avx512", "avx2", "generic"), or the best that this CPU can run for "auto".
// Null if there is none of that name or the CPU cannot run it.
const Table * find(const std::string & name);

const Table * generic_table();
#if defined(__x86_64__)
const Table * avx2_table();
const Table * avx512_table();
const Table * avx512vnni_table();
#endif

} // namespace localft::kernels
