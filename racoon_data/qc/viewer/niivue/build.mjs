// Bundles NiiVue into one file: `npm ci --ignore-scripts && node build.mjs`. The checksum is compared by a test.
import { build } from 'esbuild'
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'

// NiiVue reads zarr too, with codecs of two megabytes; we only ever hand it NIfTI.
const withoutZarr = {
  name: 'without-zarr',
  setup (b) {
    b.onResolve({ filter: /^(zarrita|numcodecs)/ }, (args) => ({ path: args.path, namespace: 'none' }))
    b.onLoad({ filter: /.*/, namespace: 'none' }, () => ({ contents: 'module.exports = {}' }))
  }
}

await build({
  stdin: { contents: "export { Niivue, NVImage, SLICE_TYPE } from '@niivue/niivue'", resolveDir: '.' },
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  legalComments: 'inline',
  outfile: 'niivue.js',
  plugins: [withoutZarr]
})
const sha256 = createHash('sha256').update(readFileSync('niivue.js')).digest('hex')
writeFileSync('niivue.js.sha256', `${sha256}  niivue.js\n`)
console.log(sha256)
