"""AIM 4 passes the mapper with racoon's own mapping file."""

from racoon_data.annotations.tools.aim import AimReader
from racoon_data.annotations.tools.exports import tool_readers
from racoon_data.outcomes import Status

AIM = """<?xml version="1.0"?>
<ImageAnnotationCollection xmlns="gme://caCORE.caCORE/4.4/edu.northwestern.radiology.AIM" aimVersion="AIMv4_0"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:iso="uri:iso.org:21090">
 <user><loginName value="lena"/></user>
 <person><id value="4711"/></person>
 <imageAnnotations><ImageAnnotation>
  <uniqueIdentifier root="1.2.9"/>
  <typeCode code="52988006" codeSystemName="SCT"><iso:displayName value="Lesion"/></typeCode>
  <name value="L1"/>
  <trackingUniqueIdentifier root="1.2.9.7"/>
  <calculationEntityCollection><CalculationEntity>
   <typeCode code="103339001" codeSystemName="SCT"><iso:displayName value="Long Axis"/></typeCode>
   <calculationResultCollection><CalculationResult xsi:type="ExtendedCalculationResult">
    <unitOfMeasure value="mm"/>
    <calculationDataCollection><CalculationData><value value="14.2"/></CalculationData></calculationDataCollection>
   </CalculationResult></calculationResultCollection>
  </CalculationEntity></calculationEntityCollection>
  <imagingPhysicalEntityCollection><ImagingPhysicalEntity>
   <typeCode code="39607008" codeSystemName="SCT"><iso:displayName value="Lung"/></typeCode>
  </ImagingPhysicalEntity></imagingPhysicalEntityCollection>
  <markupEntityCollection><MarkupEntity xsi:type="TwoDimensionPolyline">
   <imageReferenceUid root="1.2.3.4.5"/>
   <twoDimensionSpatialCoordinateCollection>
    <TwoDimensionSpatialCoordinate><x value="1"/><y value="2"/></TwoDimensionSpatialCoordinate>
   </twoDimensionSpatialCoordinateCollection>
  </MarkupEntity></markupEntityCollection>
  <imageReferenceEntityCollection><ImageReferenceEntity><imageStudy><instanceUid root="1.2.3"/>
   <imageSeries><instanceUid root="1.2.3.4"/></imageSeries></imageStudy></ImageReferenceEntity>
  </imageReferenceEntityCollection>
 </ImageAnnotation></imageAnnotations>
</ImageAnnotationCollection>"""


def test_measurements_codes_and_references_are_read(tmp_path):
    """The number with code and unit, the lesion's codes and identity, its image, series, study, patient and reader."""
    path = tmp_path / "a.xml"
    path.write_text(AIM)

    reader = next(one for one in tool_readers() if one.claims(path))
    export = reader.look(path).exports[0]

    finding = export.findings[0]
    assert reader.kind == "aim"
    assert (finding.value, finding.unit, finding.concept.meaning) == ("14.2", "mm", "Long Axis")
    assert (finding.finding.key, finding.site.meaning) == (("SCT", "52988006"), "Lung")
    assert (finding.tracking_id, finding.tracking_uid, export.reader) == ("L1", "1.2.9.7", "lena")
    pointers = export.pointers
    assert (pointers.patient, pointers.study_uid, pointers.series_uids) == ("4711", "1.2.3", {"1.2.3.4"})
    assert finding.referenced_sops == ("1.2.3.4.5",)


def test_outlines_are_counted_and_not_drawn(tmp_path):
    """A markup's coordinates are not read; rows say so."""
    path = tmp_path / "a.xml"
    path.write_text(AIM)

    ends = AimReader().look(path).outcomes

    assert {one.status for one in ends} == {Status.SKIPPED}
    assert any("TwoDimensionSpatialCoordinate/x/@value are read by no rule" in one.message for one in ends)
