/* Defines struct open_how before liburing's headers look for it: with glibc 2.42 and gcc 15 its own test for it fails,
 * with older ones it works and a second definition would be one too many. Assembler files see the same CFLAGS and must
 * not see C. */
#if !defined(__ASSEMBLER__) && defined(__has_include)
#include <features.h>
#if defined(__GLIBC_PREREQ) && __has_include(<linux/openat2.h>)
#if __GLIBC_PREREQ(2, 42)
#include <linux/openat2.h>
#endif
#endif
#endif
