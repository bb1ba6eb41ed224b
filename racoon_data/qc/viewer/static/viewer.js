// The page: #/ lists datasets, #/NAME is the gallery, #/NAME/CASE shows one case. Text from data is only ever text.
import { VolumeView, windowsOf } from './volume.js'

const $ = (id) => document.getElementById(id)
const main = $('main')
let gallery = null
let view = null

const el = (tag, options = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), options)
  made.append(...children)
  return made
}
const address = (...parts) => ['api/datasets', ...parts.map(encodeURIComponent)].join('/')

async function ask (url, options) {
  const answer = await fetch(url, options)
  const document = await answer.json()
  if (!answer.ok) throw new Error(document.error ?? `status ${answer.status}`)
  return document
}

function say (text) {
  $('said').textContent = text
  $('said').classList.add('shown')
  clearTimeout(say.timer)
  say.timer = setTimeout(() => $('said').classList.remove('shown'), 4000)
}

function trouble (error) {
  main.replaceChildren(el('p', { className: 'trouble', textContent: error.message }))
}

function crumbs (...parts) {
  const links = parts.flatMap(([text, href]) => [el('span', { textContent: '/' }), el('a', { textContent: text, href })])
  $('crumbs').replaceChildren(...links)
}

const badge = (kind, text) => el('span', { className: `badge ${kind}`, textContent: text })
const verdictOf = (one) => one.review?.verdict ?? 'open'
const KINDS = { accepted: 'good', rejected: 'bad', open: 'plain' }

async function showDatasets () {
  crumbs()
  $('keys').textContent = ''
  const found = await ask('api/datasets')
  if (found.length === 1 && !found[0].trouble) return location.replace(`#/${found[0].name}`)
  const items = found.map((one) => el('li', {}, el('a', { href: `#/${one.name}` },
    el('div', {}, el('b', { textContent: one.name }), one.trouble ? badge('bad', one.trouble) : badge('plain', `${one.cases} cases`)))))
  main.replaceChildren(el('ul', { className: 'gallery' }, ...items))
}

async function openGallery (name) {
  if (gallery?.name !== name) gallery = await ask(address(name))
  return gallery
}

function card (name, one) {
  const picture = el('img', { loading: 'lazy', decoding: 'async', alt: `${one.case}, axial`, src: `${address(name, one.case)}/picture.webp` })
  const marks = [badge(KINDS[verdictOf(one)], verdictOf(one) === 'open' ? 'not reviewed' : verdictOf(one)), badge('plain', one.split)]
  if (one.issues.length) marks.push(badge(one.issues.some((issue) => issue.severity === 'fail') ? 'bad' : 'warn', `${one.issues.length} finding${one.issues.length > 1 ? 's' : ''}`))
  if (!one.has_label) marks.push(badge('warn', 'no label'))
  return el('li', {}, el('a', { href: `#/${name}/${one.case}` }, picture, el('div', {}, el('b', { textContent: one.case }), ...marks)))
}

async function showGallery (name) {
  gallery = null
  const dataset = await openGallery(name)
  crumbs([name, `#/${name}`])
  $('keys').textContent = '/ filter'
  main.replaceChildren($('gallery-template').content.cloneNode(true))
  const list = main.querySelector('.gallery')
  const cards = dataset.cases.map((one) => [one, card(name, one)])
  list.append(...cards.map(([, item]) => item))
  const words = new Map(dataset.cases.map((one) => [one, [one.case, one.patient, ...Object.keys(one.label_ml), ...one.issues.map((issue) => issue.code)].join(' ').toLowerCase()]))
  const filter = () => {
    const wanted = $('filter-text').value.toLowerCase().split(/\s+/).filter(Boolean)
    const kind = $('filter-kind').value
    let shown = 0
    for (const [one, item] of cards) {
      const kinds = [verdictOf(one), one.issues.length ? 'issue' : '', one.has_label ? '' : 'unlabelled']
      item.hidden = !(wanted.every((word) => words.get(one).includes(word)) && (!kind || kinds.includes(kind)))
      shown += !item.hidden
    }
    $('filter-count').textContent = `${shown} of ${cards.length} cases`
  }
  $('filter-text').addEventListener('input', filter)
  $('filter-kind').addEventListener('change', filter)
  filter()
}

function fillCase (name, dataset, one) {
  crumbs([name, `#/${name}`], [one.case, `#/${name}/${one.case}`])
  $('keys').textContent = '[ previous   ] next   a accept   r reject   o open'
  $('case-name').textContent = one.case
  const size = `${one.size.join(' × ')} voxels of ${one.spacing_mm.map((part) => part.toPrecision(3)).join(' × ')} mm`
  $('case-facts').textContent = `Patient ${one.patient} · ${one.split} · ${size} · ${one.orientation}`
  $('issues').replaceChildren(...(one.issues.length
    ? one.issues.map((issue) => el('li', {}, badge(issue.severity === 'fail' ? 'bad' : 'warn', issue.code), issue.message, el('br'), el('span', { className: 'soft', textContent: issue.fix })))
    : [el('li', { className: 'soft', textContent: 'None: every check passed.' })]))
  const volume = (label) => (label.name in one.label_ml ? (one.label_ml[label.name] ? `${one.label_ml[label.name]} ml` : 'absent') : 'not annotated')
  $('volumes').replaceChildren(...dataset.labels.filter((label) => label.name !== 'ignore').map((label) => el('tr', {}, el('th', { scope: 'row', textContent: label.name }), el('td', { textContent: volume(label) }))))
  $('acquisition').replaceChildren(...Object.entries(one.acquisition).map(([key, value]) => el('tr', {}, el('th', { scope: 'row', textContent: key }), el('td', { textContent: [value].flat().join(', ') }))))
}

function legend (labels) {
  $('legend').replaceChildren(...labels.map((label) => {
    const swatch = document.createElementNS('http://www.w3.org/2000/svg', 'svg')
    const square = document.createElementNS('http://www.w3.org/2000/svg', 'rect')
    for (const [key, value] of Object.entries({ width: 12, height: 12, rx: 3, fill: label.colour })) square.setAttribute(key, value)
    swatch.append(square)
    return el('li', {}, swatch, label.name)
  }))
}

function showReview (dataset, one) {
  const verdict = verdictOf(one)
  $('verdict').className = `badge ${KINDS[verdict]}`
  $('verdict').textContent = verdict === 'open' ? 'not reviewed' : verdict
  $('comment').value = one.review?.comment ?? ''
  const notes = []
  if (!dataset.can_review) notes.push('This dataset lies outside a site, so nothing can be kept.')
  if (one.review) notes.push(`${one.review.reviewer}, ${one.review.at}`)
  if (one.review && !one.review.is_of_this_build) notes.push('The case was built again since.')
  if (verdict === 'rejected') notes.push('The next build leaves this case out.')
  $('review-note').textContent = notes.join(' ')
  for (const button of document.querySelectorAll('#review button, #comment')) button.disabled = !dataset.can_review
}

async function keepReview (dataset, one, verdict) {
  const options = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ verdict, comment: $('comment').value }) }
  try {
    one.review = { ...await ask(`${address(dataset.name, one.case)}/review`, options), is_of_this_build: true }
    const listed = dataset.cases.find((other) => other.case === one.case)
    listed.review = one.review
    showReview(dataset, one)
    say(`${one.case}: ${verdict}`)
  } catch (error) { say(error.message) }
}

async function showVoxels (dataset, one) {
  const files = address(dataset.name, one.case)
  const readers = one.readers.map((reader, number) => ({ text: `reader ${reader}`, url: `${files}/reader-${number}.nii.gz`, number }))
  const overlays = [...(one.has_label ? [{ text: 'label map', url: `${files}/label-0.nii.gz` }] : []), ...readers, { text: 'none', url: '' }]
  $('channel').replaceChildren(...one.channels.map((channel, number) => el('option', { value: number, textContent: channel.name })))
  $('overlay').replaceChildren(...overlays.map((overlay, number) => el('option', { value: number, textContent: overlay.text })))
  const reading = ({ voxel, mm, value, unit, label, name }) => {
    $('at-voxel').textContent = voxel.join(', ')
    $('at-mm').textContent = mm.map((part) => part.toFixed(1)).join(', ')
    $('at-value').textContent = `${Number.isInteger(value) ? value : value.toPrecision(6)} ${unit}`.trim()
    $('at-label').textContent = label === null ? name : `${label} ${name}`
  }
  const load = async () => {
    const channel = one.channels[$('channel').value]
    const overlay = overlays[$('overlay').value]
    const labels = 'number' in overlay ? readerLabels(one.reader_segments[overlay.number]) : dataset.labels
    $('window').replaceChildren(...windowsOf(channel.unit).map((name) => el('option', { value: name, textContent: name })))
    $('loading').hidden = false
    try {
      view ??= new VolumeView($('canvas'), reading)
      await view.load(`${files}/image-${$('channel').value}.nii.gz`, channel.unit, overlay.url, labels)
      view.setWindow($('window').value)
      view.setOpacity(Number($('opacity').value))
      view.setView(Number($('view').value))
      legend(overlay.url ? labels : [])
      $('loading').hidden = true
    } catch (error) { $('loading').textContent = `The voxels cannot be shown: ${error.message}` }
  }
  $('channel').addEventListener('change', load)
  $('overlay').addEventListener('change', load)
  $('window').addEventListener('change', () => view.setWindow($('window').value))
  $('opacity').addEventListener('input', () => view.setOpacity(Number($('opacity').value)))
  $('view').addEventListener('change', () => view.setView(Number($('view').value)))
  await load()
}

const COLOURS = ['#56b4e9', '#e69f00', '#cc79a7', '#009e73', '#f0e442', '#d55e00', '#0072b2']
const readerLabels = (segments) => Object.entries(segments).map(([value, name]) => ({ value: Number(value), name, colour: COLOURS[(Number(value) - 1) % COLOURS.length] }))

async function showCase (name, caseId) {
  const [dataset, one] = await Promise.all([openGallery(name), ask(address(name, caseId))])
  main.replaceChildren($('case-template').content.cloneNode(true))
  fillCase(name, dataset, one)
  showReview(dataset, one)
  for (const button of document.querySelectorAll('#review button')) button.addEventListener('click', () => keepReview(dataset, one, button.dataset.verdict))
  await showVoxels(dataset, one)
}

function neighbour (step) {
  const [, name, caseId] = location.hash.split('/').map(decodeURIComponent)
  const place = gallery.cases.findIndex((one) => one.case === caseId)
  const next = gallery.cases[place + step]
  if (next) location.hash = `#/${name}/${next.case}`
}

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || ['INPUT', 'TEXTAREA', 'SELECT'].includes(event.target.tagName)) return
  const press = { a: 'accepted', r: 'rejected', o: 'open' }[event.key]
  const button = press && document.querySelector(`#review button[data-verdict=${press}]`)
  if (button && !button.disabled) button.click()
  if (event.key === '[' && $('canvas')) neighbour(-1)
  if (event.key === ']' && $('canvas')) neighbour(1)
  if (event.key === '/' && $('filter-text')) { event.preventDefault(); $('filter-text').focus() }
})

async function route () {
  view?.close()
  view = null
  const [, name, caseId] = location.hash.split('/').map(decodeURIComponent)
  try {
    if (caseId) await showCase(name, caseId)
    else if (name) await showGallery(name)
    else await showDatasets()
    main.focus({ preventScroll: true })
  } catch (error) { trouble(error) }
}

// For tests and for people at the console: where the crosshair is, and how to move it.
window.racoon = { goTo: (i, j, k) => view.goTo(i, j, k) }
window.addEventListener('hashchange', route)
route()
