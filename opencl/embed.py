#!/usr/bin/env python3
"""embed.py OUT.c FILE...: writes the kernel files as the C table that kernels.h declares."""
import os
import sys

with open(sys.argv[1], 'w') as out:
    out.write('#include "opencl/kernels.h"\n')
    for i, path in enumerate(sys.argv[2:]):
        data = open(path, 'rb').read()
        out.write('static const guint8 file%d[] = {%s};\n' % (i, ','.join(map(str, data)) or '0'))
    out.write('const OclKernelFile ocl_kernel_files[] = {\n')
    for i, path in enumerate(sys.argv[2:]):
        out.write('  { "%s", file%d, %d },\n' % (os.path.basename(path), i, os.path.getsize(path)))
    out.write('  { NULL, NULL, 0 }\n};\n')
