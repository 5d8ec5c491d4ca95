// Dot products with 1-bit weights, for every activation format.
#include "mico_kernels.h"
#include "mico_simd.h"
#include "inline.h"

#define NAME       mico_dot_s8_w1
#define A_BITS     8
#define A_UNSIGNED 0
#define W_BITS     1
#include "dot_rows.h"

#define NAME       mico_dot_u8_w1
#define A_BITS     8
#define A_UNSIGNED 1
#define W_BITS     1
#include "dot_rows.h"

#define NAME       mico_dot_s4_w1
#define A_BITS     4
#define A_UNSIGNED 0
#define W_BITS     1
#include "dot_rows.h"

#define NAME       mico_dot_u4_w1
#define A_BITS     4
#define A_UNSIGNED 1
#define W_BITS     1
#include "dot_rows.h"

#define NAME       mico_dot_s2_w1
#define A_BITS     2
#define A_UNSIGNED 0
#define W_BITS     1
#include "dot_rows.h"

#define NAME       mico_dot_u2_w1
#define A_BITS     2
#define A_UNSIGNED 1
#define W_BITS     1
#include "dot_rows.h"

#define NAME       mico_dot_s1_w1
#define A_BITS     1
#define A_UNSIGNED 0
#define W_BITS     1
#include "dot_rows.h"

#define NAME       mico_dot_u1_w1
#define A_BITS     1
#define A_UNSIGNED 1
#define W_BITS     1
#include "dot_rows.h"
