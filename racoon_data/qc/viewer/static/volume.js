// The voxels of a case: NiiVue with our windows, our label colours and a reading under the crosshair.
import { Niivue, NVImage, SLICE_TYPE } from './niivue.js'

const HU_WINDOWS = { lung: [-1350, 150], 'soft tissue': [-160, 240], mediastinum: [-140, 210], bone: [-450, 1050], brain: [0, 80], liver: [-45, 105] }
export const AUTOMATIC = 'automatic'

export const windowsOf = (unit) => (unit === 'HU' ? [...Object.keys(HU_WINDOWS), AUTOMATIC] : [AUTOMATIC])

// NiiVue is given bytes, not an address: it would not pass on what the server says of a damaged file.
async function fetched (url, name, opacity) {
  const answer = await fetch(url)
  if (!answer.ok) throw new Error((await answer.json()).error)
  return NVImage.loadFromUrl({ url: await answer.arrayBuffer(), name, colormap: 'gray', opacity })
}

export class VolumeView {
  constructor (canvas, onReading) {
    this.canvas = canvas
    this.onReading = onReading
    this.labels = new Map()
    this.nv = new Niivue({
      backColor: [0, 0, 0, 1], crosshairColor: [0.95, 0.74, 0.36, 0.9], crosshairWidth: 0.6,
      isRadiologicalConvention: true, multiplanarShowRender: 0, isColorbar: false, dragAndDropEnabled: false, logLevel: 'error'
    })
  }

  // Loads an image and, over it, the label map at another address (or none); labels are [{value, name, colour}].
  async load (image, unit, overlay, labels) {
    if (!this.nv.canvas) await this.nv.attachToCanvas(this.canvas)
    const files = [fetched(image, 'image.nii.gz', 1)]
    if (overlay) files.push(fetched(overlay, 'label.nii.gz', 0.5))
    const volumes = await Promise.all(files)
    while (this.nv.volumes.length) this.nv.removeVolume(this.nv.volumes.at(-1))
    for (const volume of volumes) this.nv.addVolume(volume)
    this.unit = unit
    this.automatic = [this.nv.volumes[0].cal_min, this.nv.volumes[0].cal_max]
    this.paint(labels)
    this.nv.setSliceType(SLICE_TYPE.MULTIPLANAR)
    this.nv.onLocationChange = () => this.read()
    this.goTo(...this.start())
  }

  // The middle labelled voxel, or the middle of the image.
  start () {
    const [image, drawn] = this.nv.volumes
    const [, nx, ny, nz] = image.hdr.dims
    let left = drawn ? drawn.img.reduce((count, value) => count + (value > 0), 0) >> 1 : 0
    if (!left) return [nx >> 1, ny >> 1, nz >> 1]
    const at = drawn.img.findIndex((value) => value > 0 && left-- === 0)
    return [at % nx, Math.floor(at / nx) % ny, Math.floor(at / nx / ny)]
  }

  paint (labels) {
    this.labels = new Map(labels.map((label) => [label.value, label.name]))
    const drawn = this.nv.volumes[1]
    if (!drawn) return
    const parts = labels.map((label) => [1, 3, 5].map((from) => parseInt(label.colour.slice(from, from + 2), 16)))
    drawn.setColormapLabel({
      R: [0, ...parts.map((rgb) => rgb[0])], G: [0, ...parts.map((rgb) => rgb[1])], B: [0, ...parts.map((rgb) => rgb[2])],
      A: [0, ...parts.map(() => 255)], I: [0, ...labels.map((label) => label.value)], labels: ['', ...labels.map((label) => label.name)]
    })
    this.nv.updateGLVolume()
  }

  setWindow (name) {
    const [low, high] = this.unit === 'HU' && HU_WINDOWS[name] ? HU_WINDOWS[name] : this.automatic
    Object.assign(this.nv.volumes[0], { cal_min: low, cal_max: high })
    this.nv.updateGLVolume()
  }

  setOpacity (share) { if (this.nv.volumes[1]) this.nv.setOpacity(1, share) }
  setView (type) { this.nv.setSliceType(type) }

  // Puts the crosshair on a voxel of the file, counted i, j, k from 0.
  goTo (i, j, k) {
    const { matRAS } = this.nv.volumes[0]
    const mm = this.nv.volumes[0].vox2mm(this.inRas([i, j, k]), matRAS)
    this.nv.scene.crosshairPos = this.nv.mm2frac(mm)
    this.nv.createOnLocationChange()
    this.nv.drawScene()
    this.read()
  }

  // NiiVue turns arrays to RAS; people and files count along the axes of the file.
  inRas (voxel) {
    const { permRAS, dimsRAS } = this.nv.volumes[0]
    return [0, 1, 2].map((axis) => {
      const from = voxel[Math.abs(permRAS[axis]) - 1]
      return permRAS[axis] > 0 ? from : dimsRAS[axis + 1] - 1 - from
    })
  }

  inFile (ras) {
    const { permRAS, dimsRAS } = this.nv.volumes[0]
    const voxel = [0, 0, 0]
    for (const axis of [0, 1, 2]) {
      voxel[Math.abs(permRAS[axis]) - 1] = permRAS[axis] > 0 ? ras[axis] : dimsRAS[axis + 1] - 1 - ras[axis]
    }
    return voxel
  }

  read () {
    const [image, drawn] = this.nv.volumes
    if (!image) return
    const mm = Array.from(this.nv.frac2mm(this.nv.scene.crosshairPos)).slice(0, 3)
    const ras = Array.from(image.mm2vox(mm)).map((part, axis) => Math.min(image.dimsRAS[axis + 1] - 1, Math.max(0, Math.round(part))))
    const label = drawn ? drawn.getValue(...ras) : null
    const name = label === null ? 'none drawn' : label === 0 ? 'background' : this.labels.get(label) ?? 'unknown'
    this.onReading({ voxel: this.inFile(ras), mm, value: image.getValue(...ras), unit: this.unit, label, name })
  }

  close () { this.nv.cleanup?.() }
}
