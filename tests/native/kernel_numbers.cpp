// Prints what the generic kernels compute on fixed inputs, a value a line: for comparing one processor's with another's.

#include "kernels/kernels.h"

#include <cstdio>
#include <cstring>
#include <vector>

using namespace localft::kernels;
using Floats = std::vector<float>;

namespace {

uint32_t state = 1;

uint32_t random_bits() {
    state = state * 1664525u + 1013904223u;
    return state >> 8;
}

Floats random_floats(int64_t n) {
    Floats x(n);
    for (float & value : x) value = (float) random_bits() / (1 << 23) - 1.0f;
    return x;
}

// n_row rows of Q8_0 blocks: an f16 scale between 1/256 and 1/64, 32 signed bytes.
std::vector<uint8_t> random_q8_0(int64_t n_row, int64_t n) {
    std::vector<uint8_t> bytes(n_row * n / 32 * 34);
    for (uint8_t & byte : bytes) byte = (uint8_t) random_bits();
    for (size_t at = 0; at < bytes.size(); at += 34) {
        const uint16_t scale = (uint16_t) (0x1c00 + random_bits() % 0x800);
        memcpy(&bytes[at], &scale, sizeof scale);
    }
    return bytes;
}

void print(const char * name, const Floats & values) {
    for (const float value : values) printf("%s %.9g\n", name, value);
}

template <typename P>
void call(void (*kernel)(const P &, Turns &, int), const P & p) {
    Turns turns;
    kernel(p, turns, 1);
}

// Rows in 16 bits, as the integer products and outer products read them.
Floats in_16_bits(const Table & table, const Floats & x, int64_t m, int64_t k) {
    Floats out(m * quantised_floats(k));
    Rows   p  = {};
    p.m       = m;
    p.k       = k;
    p.x       = x.data();
    p.as      = Rows::As::int16;
    p.out     = out.data();
    p.x_stride = k, p.out_stride = quantised_floats(k);
    call(table.rows, p);
    return out;
}

void products(const Table & table, int64_t m, int64_t n, int64_t k, int64_t k2) {
    const Floats a = random_floats(m * k), w = random_floats(n * k), a2 = random_floats(m * k2), b2 = random_floats(k2 * n);
    const auto   q = random_q8_0(n, (k + 31) / 32 * 32), across = random_q8_0(k, (n + 31) / 32 * 32);
    const Floats rows = in_16_bits(table, a, m, k);
    for (const bool nk : { true, false }) {
        const size_t  q_bytes = (nk ? k + 31 : n + 31) / 32 * 34;
        const Operand f32 = { w.data(), nullptr, (nk ? k : n) * sizeof(float), 1, sizeof(float), nk };
        const Operand q8  = { (nk ? q : across).data(), table.q8_0_to_float, q_bytes, 32, 34, nk, true };
        for (const Operand & b : { f32, q8 }) {
            if (b.q8_0 && (k % 32 || n % 32)) continue;
            Floats  c(m * n);
            Product p = { m, n, k, a.data(), k, b, nullptr, 0, c.data(), n, k2, a2.data(), k2, b2.data() };
            call(table.product, p);
            print("product", c);
            p.a = rows.data(), p.a_stride = quantised_floats(k);
            call(table.product16, p);
            print("product16", c);
        }
    }
}

void made_rows(const Table & table, int64_t m, int64_t k, int64_t rank) {
    const Floats x = random_floats(m * k), y = random_floats(m * k), da = random_floats(m * k), factor = random_floats(rank * k);
    for (const Rows::From from : { Rows::From::given, Rows::From::norm, Rows::From::swiglu, Rows::From::swiglu_back }) {
        const int64_t n_part = from == Rows::From::swiglu_back ? 2 : 1, width = n_part * k + rank;
        Floats        out(m * width);
        call(table.rows, { from, m, k, x.data(), k, y.data(), k, false, da.data(), 1e-5f, Rows::As::f32, out.data(), width, 1, rank,
                           { { factor.data(), (int) n_part - 1 } }, 0.5f });
        print("rows", out);
    }
}

void outer(const Table & table, int64_t m, int64_t n, int64_t k) {
    const Floats a = random_floats(k * m), b = random_floats(k * n), rows = in_16_bits(table, b, k, n);
    for (const bool b16 : { false, true }) {
        Floats c = Floats(m * n, 1.0f);
        call(table.outer, { m, n, k, a.data(), m, (b16 ? rows : b).data(), b16 ? quantised_floats(n) : n, b16, c.data() });
        print(b16 ? "outer16" : "outer", c);
    }
}

void attention(const Table & table, int64_t n_head, int64_t n_head_kv, int64_t head) {
    const std::vector<int32_t> starts = { 0, 1, 70, 103 };
    const int64_t              n_tok = starts.back(), wide = n_head * head, narrow = n_head_kv * head;
    const Floats               q = random_floats(n_tok * wide), k = random_floats(n_tok * narrow), v = random_floats(n_tok * narrow), d_o = random_floats(n_tok * wide);
    Floats                     o(n_tok * wide), lse(n_head * n_tok), dq(n_tok * wide), dk(n_tok * narrow), dv(n_tok * narrow);
    const Attention            p = { n_head, n_head_kv, head, starts.data(), 3, 0.3f, q.data(), k.data(), v.data(), o.data(), lse.data(),
                                     d_o.data(), dq.data(), dk.data(), dv.data() };
    call(table.attention, p);
    call(table.attention_back, p);
    for (const Floats * each : { &o, &dq, &dk, &dv }) print("attention", *each);
}

void rest(const Table & table, int64_t n) {
    const Floats dh = random_floats(n), x = random_floats(n), g = random_floats(n), add = random_floats(n);
    Floats       dx(n), logits = random_floats(n);
    for (float & logit : logits) logit *= 20.0f;
    table.rms_norm_back(dh.data(), x.data(), g.data(), add.data(), dx.data(), n, 1e-5f);
    print("rms_norm_back", dx);
    print("loss", { table.cross_entropy(logits.data(), n, (int32_t) n / 2) });
    print("d_logits", logits);
}

} // namespace

int main() {
    const Table & table = *generic_table();
    products(table, 13, 33, 172, 3);
    products(table, 1, 7, 1030, 20);
    products(table, 30, 96, 1088, 8);
    made_rows(table, 11, 172, 5);
    made_rows(table, 1, 9, 1);
    outer(table, 9, 172, 70);
    attention(table, 6, 2, 24);
    attention(table, 3, 3, 7);
    rest(table, 131);
}
