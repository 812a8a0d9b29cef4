#define LOCALFT_TABLE generic_table
#define LOCALFT_TABLE_NAME "generic"
#define LOCALFT_VECTOR_BYTES 16
#if defined(__aarch64__)
#define LOCALFT_TILE_ROWS 8 // of twice as many registers
#else
#define LOCALFT_TILE_ROWS 4
#endif
#include "kernels.inc"
