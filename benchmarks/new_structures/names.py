"""Molecules of which `../training_structures.py` makes structures, as SMILES."""

REACTANTS = (
    *("C=C", "C=O", "CC=O", "CO", "CN", "C=CO", "NC=O", "OC=O", "C=N", "CC", "CC=N", "C=C=O"),
    *("C#N", "C#C", "CC#N", "C#CC", "NO", "NN", "OO", "CNO", "N=NC", "C=C=C", "O=CO", "CC=C"),
    *("COO", "NC=N", "CN=O", "C=CN", "C1CC1", "C1CO1", "C1CN1", "C1=CC1", "CC(C)=O", "CC(=O)O"),
    *("CC(N)=O", "C=CC=O", "C=CC=C", "OCC=O", "NCC=O", "CC(=O)C=O", "COC=O", "CNC=O", "CC=CO"),
    *("C1CCC1", "C1CCO1", "C1=CCC1", "OC=CC=O", "CCC=O", "N#CC=O", "C#CC=O", "OCCO", "NCCO"),
    *("C=C.C=C", "C=C.C=O", "C=O.O", "C=O.N", "C=C.O", "C#N.N", "C=N.O", "N=C=O.O", "O=C=O.N"),
    *("C#C.O", "C=C=O.O", "OC=O.O", "NC=O.O", "C=C.N=[N+]=[N-]", "C=C.C#N", "CO.C=O", "N.C=N"),
)
"""SMILES; a dot separates the partners of a reaction of two molecules."""
GROUPS = (
    *("C[N+](=O)[O-]", "C=C[N+](=O)[O-]", "CC(C)[N+](=O)[O-]", "CCC[N+](=O)[O-]"),
    *("NC=C[N+](=O)[O-]", "O=[N+]([O-])c1ccco1", "O=[N+]([O-])c1ccc[nH]1", "CN(C)[N+](=O)[O-]"),
    *("O=[N+]([O-])c1ccccc1", "Nc1ccccc1[N+](=O)[O-]", "CO[N+](=O)[O-]", "CCO[N+](=O)[O-]"),
    *("CON=O", "CCN=O", "CN=NC", "CN=[N+]=[N-]", "CCN=[N+]=[N-]", "C=[N+]=[N-]", "N#CN", "CN=C=O"),
    *("CC(C)=NO", "C=NO", "CC=NN", "NC(=O)NN", "CNC(N)=O", "NC(N)=N", "COC(N)=O", "COC(=O)OC"),
    *("O=C1C=CC(=O)N1", "O=C1CCC(=O)O1", "CC(=O)OC(C)=O", "c1nnn[nH]1", "c1ncn[nH]1", "c1cnon1"),
    *("c1nnco1", "c1cnoc1", "c1cn[nH]c1", "c1ccnnc1", "c1ncncn1", "C[N+](C)(C)[O-]"),
    *("[O-][n+]1ccccc1", "C[N+]#[C-]", "CC#N", "N#CC#N", "C=C=C", "C=C=CC", "C=C=O", "CC=C=O"),
    *("CC#CC", "C#CC#C", "C1CC1=O", "C1=CC1", "C1CC12CC2", "C1C2CC12", "C1OC1C=O", "CC1OO1"),
    *("COOC", "CC(=O)OO", "OCO", "COCOC", "C1OCOCO1", "NCN", "CN(C)N(C)C", "NO", "CNO", "CON"),
    *("O=C1C=CC=CC1=O", "O=C1C=CC(=O)C=C1", "C1=CC=CC=CC=C1", "C1=CC2C=CC12", "C1=COC=CO1"),
)
"""SMILES of functional groups that the public labels have few frames of."""
RINGS = (
    *("Cc1ccccc1", "Oc1ccccc1", "Nc1ccccc1", "OC(=O)c1ccccc1", "O=Cc1ccccc1", "NC(=O)c1ccccc1"),
    *("C=Cc1ccccc1", "OCc1ccccc1", "NCc1ccccc1", "C#Cc1ccccc1", "N#Cc1ccccc1", "COc1ccccc1"),
    *("NC(=O)c1cccnc1", "Nc1ccccn1", "c1ccc2[nH]ccc2c1", "c1ccc2occc2c1", "c1ccc2[nH]cnc2c1"),
    *("c1ncc2[nH]cnc2n1", "c1ccc2ccccc2c1", "c1ccc2ncccc2c1", "Oc1ccccc1O", "Oc1ccc(O)cc1"),
    *("Nc1ccc(cc1)C(=O)O", "CN1CCCC1", "C1CCNCC1", "C1COCCN1", "C1CNCCN1", "NCCc1c[nH]cn1"),
    *("CC(=O)Nc1ccccc1", "O=C1CCCCC1", "O=c1cc[nH]c(=O)[nH]1", "Nc1cc[nH]c(=O)n1", "CC(N)C(=O)O"),
    *("CC(=O)NCC(N)=O", "OCC(N)C(=O)O", "C1CC2CCC1C2", "C1CC2CC1O2", "C1OC2CC1C2", "C1C2CC3C2C13"),
)
"""SMILES of rings and parts of drugs and peptides, larger than most of the public labels."""
SMALL = (
    *("[H][H]", "N#N", "[C-]#[O+]", "O", "C", "N", "C#N", "C#C", "C=C", "CC", "C=O", "CO", "OO"),
    *("NN", "O=C=O", "[N-]=[N+]=O", "CN", "CC=O", "OC=O", "C1CN1", "C1CO1", "CC#N", "COC", "C#CC"),
    *("C=C=C", "C1=CC1", "CC=C", "C1CC1", "CCC", "C=C=O", "CCO", "N=O", "N=C=O", "[C-]#[N+]O"),
    *("ON=O", "N=[N+]=[N-]", "C=[N+]=[N-]", "NC=O", "NO", "C=N", "CNC", "CCN", "OCO", "C=CO"),
    *("N#CN", "N=N", "NC=N", "N=CO"),
)
"""SMILES of molecules of up to three heavy atoms."""
PARTNERS = (
    *("C", "CC", "CCC", "C=C", "CC=C", "C#C", "C1CC1", "N", "CN", "O", "CO", "COC", "C=O", "CC=O"),
    *("OC=O", "NC=O", "C#N", "CC#N", "O=C=O", "CC(C)C", "C=CC=C", "c1ccoc1", "c1cc[nH]c1"),
)
"""Of pairs; in four cases of ten the first one is drawn again from the hydrocarbons."""
HYDROCARBONS = ("C", "CC", "CCC", "C=C", "CC=C", "C#C", "C1CC1", "CC(C)C", "C=CC=C")
LEFT_OUT = {"O", "CO", "CN", "C=C", "C#C"}
"""Pairs of these are in S66."""
SCANNED = {"OO", "OC=O", "NN", "CO", "O=CC=O"}
"""Their torsions are references of a test."""
TRANSFERS = (
    *("CC(O)=CC=O", "CC(O)=CC(C)=O", "O=CC=CN", "N=CC=CO", "N=CC=CN", "CC(=O)C=CO", "O=CC(C)=CO"),
    *("OC=CN=O", "O=CC(=O)O", "OC(=O)C=CO", "O=CC=NO", "OCC=O", "NCC(=O)O", "OCC(=O)O", "O=CCO"),
    *("OC=O.OC=O", "NC=O.NC=O", "NC=O.OC=O", "NC=N.NC=N", "NC=N.OC=O", "OC=O.O", "NC=O.O"),
    *("NC=N.O", "C=NO.O", "CO.O", "O.O", "N.O", "CC(O)=O.O", "C=CO.O", "OC=O.N", "NC=O.N"),
    *("OC=NC=O", "NC=NC=O", "CNC=CC=O", "O=C1C=CC=CC1=O", "Oc1ccccc1C=O", "OC(=O)c1ccccc1O"),
    *("CN=CC=CO", "OC1=CC(=O)CC1", "OOCC=O", "OOC=O", "OCCN", "NCCO", "O=CNC=O", "OC=C(O)C=O"),
)
"""Molecules and pairs in which a hydrogen goes from one N or O to another."""
TURNED = (
    *("CCCC", "CCCO", "CCC=C", "CCC=O", "COCC", "CNCC", "NCCN", "OCCN", "CC(=O)NC", "CC(=O)OC"),
    *("C=CC(N)=O", "C=COC", "COC(C)=O", "NCC(=O)O", "CC(C)CO", "C=Cc1ccccc1", "COc1ccccc1"),
    *("Nc1ccccc1", "O=Cc1ccccc1", "Cc1ccccc1", "CCc1ccccc1", "COO", "CCOO", "COOC", "C=COO"),
    *("CNN", "CNNC", "CONC", "CONN", "C=NN", "C=NO", "CC(=O)C=O", "O=CC(N)=O", "O=CC(=O)O"),
    *("NC(=O)C(N)=O", "OC(=O)C(=O)O", "CC(O)C", "CC(C)N", "NCO", "OCO", "COCO", "CC(=O)N", "CCO"),
)
"""Molecules with single bonds that are turned, next to those above."""
LARGER_PARTNERS = (
    *("c1ccccc1", "c1ccncc1", "c1ccoc1", "c1cc[nH]c1", "c1c[nH]cn1", "C1CCCC1", "CC(C)C", "CCCC"),
    *("C=CC=C", "CC(N)=O", "CC(=O)O", "CNC=O", "C1CCC1", "CC(C)(C)C", "CC(C)=O"),
)
"""One of each pair that is relaxed."""
AROMATICS = (
    *("c1ccccc1", "c1ccncc1", "c1ccoc1", "c1cc[nH]c1", "c1c[nH]cn1", "c1cnccn1", "c1cncnc1"),
    *("c1cocn1", "c1cnoc1", "c1cc[nH]n1"),
)
"""Pairs of these are stacked."""
MEDIUM = (
    *("CCCC", "CCCCC", "CC(C)C", "CC(C)CC", "CC(C)(C)C", "CCCCCC", "C1CCC1", "C1CCCC1", "C1CCCCC1"),
    *("CCC=C", "C1C=CCC1", "CC#CC", "C=CC=C", "C1=CC=CCC1", "C=C1CC1", "CCOCC", "CC(C)O", "CCNC"),
    *("CN(C)C", "CC(C)N", "COC(C)=O", "CC(N)=O", "CC(O)=O", "CCC(O)=O", "CN(C)C=O", "CNC=O"),
    *("CCC#N", "C1CCOC1", "C1CCNC1", "NC(N)=O", "C=CC=O", "C=CC#N", "N#CC=C", "O=C1CCC1"),
    "CNC(C)=O",
    *("c1ccccc1", "Cc1ccccc1", "c1ccncc1", "c1ccoc1", "Cc1ccco1", "c1cc[nH]c1", "Cn1cccc1"),
    *("c1c[nH]cn1", "c1cncnc1", "c1ccnnc1", "c1cocn1", "c1cnoc1", "c1cc[nH]n1"),
    *("O=c1cc[nH]c(=O)[nH]1", "NCCN", "CCCO", "COCC"),
)
"""Of pairs of which two points of a curve are taken."""
VALIDATED = ("c1cnccn1", "C=CC=CC=C")
"""Fragments that fall to the validation part of the default split; pairs with small partners."""
IN_S66 = {
    *("c1ccccc1", "c1ccncc1", "C1CCCC1", "CCCCC", "CC(N)=O", "CC(=O)O", "CC(C)(C)C"),
    *("CNC(C)=O", "O=c1cc[nH]c(=O)[nH]1", *LEFT_OUT),
}
PARTS = (
    *("Cc1cc(C)[nH]n1", "Cc1nc[nH]c1C", "Cn1cnc(C=O)c1", "Cn1ccnc1N", "NC(=O)c1ccn[nH]1"),
    *("Nc1ncccn1", "Cc1noc(C)c1", "Cc1cc(N)no1", "CC(=O)c1ccco1", "O=Cc1ccc[nH]1", "OC(=O)c1ccco1"),
    *("NC(=O)c1ccco1", "COC(=O)c1ccc[nH]1", "Oc1ccccn1", "O=c1cccc[nH]1", "Cn1ccccc1=O"),
    *("Oc1ncccn1", "O=c1ccnc[nH]1", "Nc1ccncn1", "COc1ncccn1", "CNc1ccccn1", "CN(C)c1ccccn1"),
    *("N#Cc1ccccn1", "O=Cc1cccnc1", "CC(=O)c1ccncc1", "OC(=O)c1ccncc1", "NNC(=O)c1ccncc1"),
    *("c1cnc2[nH]ccc2c1", "c1cnc2nc[nH]c2c1", "c1ccc2[nH]ncc2c1", "c1ccc2ocnc2c1", "c1ccc2nonc2c1"),
    *("c1ccn2ccnc2c1", "c1cnn2cccc2c1", "c1ccc2n[nH]nc2c1", "c1cnc2nccnc2n1", "c1ccc2nccnc2c1"),
    *("c1ccc2cnccc2c1", "c1ccc2ncncc2c1", "c1ccc2cnncc2c1", "O=C1Cc2ccccc2N1", "O=C1NCc2ccccc12"),
    *("O=C1OCc2ccccc12", "O=C1NC(=O)c2ccccc12", "C1Cc2ccccc2O1", "C1Oc2ccccc2O1", "C1Cc2ccccc2N1"),
    *("O=C1C=Cc2ccccc12", "C1=Cc2ccccc2C1", "O=c1ccoc2ccccc12", "O=c1ccc2ccccc2o1"),
    *("Nc1nc2ccccc2[nH]1", "Oc1cccc2ccccc12", "COc1ccc(C=O)cc1", "COc1ccccc1O", "Cc1ccc(O)cc1"),
    *("Cc1ccccc1N", "Nc1ccc(O)cc1", "Nc1ccccc1C=O", "OC(=O)Cc1ccccc1", "NC(=O)Nc1ccccc1"),
    *("COC(=O)c1ccccc1", "CNC(=O)c1ccccc1", "CC(=O)Oc1ccccc1", "O=CNc1ccccc1", "CN(C)c1ccccc1"),
    *("CNCc1ccccc1", "NCCc1ccccc1", "OC(CN)c1ccccc1", "ON=Cc1ccccc1", "NN=Cc1ccccc1"),
    *("C=Nc1ccccc1", "N=C(N)c1ccccc1", "O=Nc1ccccc1", "N=Nc1ccccc1", "CC(=O)c1ccccc1"),
    *("OC(=O)C=Cc1ccccc1", "O=CC=Cc1ccccc1", "N#CCc1ccccc1", "C1CC1c1ccccc1", "c1ccc(cc1)C1CO1"),
    *("[O-][N+](=O)c1ccc(O)cc1", "Nc1ccc(cc1)[N+]([O-])=O", "[O-][N+](=O)c1cnc[nH]1"),
    *("Cn1ccnc1[N+]([O-])=O", "CC([N+](=O)[O-])=CC", "O=[N+]([O-])CCO", "NC(=N)NC", "NC(=N)NC#N"),
    *("CC(=O)NC(C)=O", "O=C1CCC(=O)N1", "O=C1CCC(=O)CC1", "O=C1NCCN1", "O=C1NCC(=O)N1"),
    *("O=C1COCCN1", "O=C1CCCCN1", "O=C1CCCCO1", "CN1CCCC1=O", "O=C1NC=CC1", "O=C1CCNC1"),
    *("CC1CC(=O)NC1=O", "OC(=O)C1CCCN1", "NC(=O)C1CCCN1", "OC1CCNC1", "OCC1CCCO1", "OC1CCCCC1"),
    *("NC1CCCCC1", "OC1COCC1O", "OC1CCOC1", "OCC1OCC1O", "C1COC2COCC12", "C1CC2(C1)OCCO2"),
    *("C1COCOC1", "CN1CCNCC1", "CN1CCOCC1", "O=CN1CCCC1", "O=CN1CCOCC1", "C1CN2CCC1C2"),
    *("C1CN2CCC1CC2", "CC(=O)NCC=O", "CNC(=O)CNC=O", "CC(NC=O)C(N)=O", "OCC(NC=O)C=O"),
    *("NCC(=O)NCC=O", "NC(CC(N)=O)C=O", "CC(C)C(N)C(=O)O", "NC(CO)C(N)=O", "OCC(O)C(O)C=O"),
    *("OC(=O)CC(O)=O", "OC(=O)C=CC(=O)O", "CC(=O)CC(=O)OC", "CC(=O)C(C)=O", "COC(=O)C=C"),
    *("CC=CC(=O)OC", "COC(=O)C(C)=O", "CCOC(=O)OC", "CN(C)C(=O)OC", "CN(C)C(=O)N(C)C", "CON(C)C=O"),
    *("CONC(C)=O", "ONC(C)=O", "CC(=NO)C=O", "CC(=O)NN", "CNN=CC", "CN(C)N=C", "CN=NC(C)=O"),
    *("CC(=O)N=[N+]=[N-]", "CC(=[N+]=[N-])C=O", "N#CC(=O)OC", "N#CC=CN", "CC(C#N)=CN", "N#CCC#N"),
    *("C=C(C#N)C#N", "C#CC(=O)OC", "CC#CC(N)=O", "C#CC(O)C=C", "C=CC(=O)C=C", "C=CC(O)C=O"),
    *("COC=CC=O", "CN(C)C=CC=O", "C=CN(C)C=O", "C=COC(C)=O", "C1=CCOC=C1", "O=C1C=COCC1"),
    *("O=C1C=CNCC1", "C1=CNCCC1", "C1=NCCO1", "CC1=NCCN1", "CC1=NOCC1", "C1C=NN=C1", "C1=NNCC1"),
    *("C1=CCN=CC1", "O=C1N=CNC=C1", "Cc1nnn[nH]1", "Cn1cnnn1", "Cc1nn[nH]c1", "Nc1nnc[nH]1"),
    *("Nc1nnco1", "Cc1nonc1C", "Cn1cnc2cncnc21", "Nc1ncnc2[nH]cnc12", "O=c1[nH]cnc2[nH]cnc12"),
    *("Cn1ccc(=O)[nH]c1=O", "Nc1ccn(C)c(=O)n1", "Cc1c[nH]c(=O)[nH]c1=O", "c1ccc(cc1)-n1cccc1"),
    *("c1ccc(nc1)-c1ccco1", "c1coc(c1)-c1ccco1", "c1c[nH]c(c1)-c1ncc[nH]1", "C1CC1C(=O)N"),
    *("C1CC1C(=O)C1CC1", "CC1(C)CC1C=O", "C1C2CCC1C=C2", "O=C1CC2CCC1C2", "C1CC2CCC1O2"),
    *("C1CC2CCC1N2", "C1C2CC3CC1CC3C2"),
)
"""SMILES of parts of drugs, dyes, nucleic acids and natural products, 5 to 11 heavy atoms."""
IONS = (
    *("CC[NH3+]", "C[NH2+]C", "C[NH+](C)C", "C[N+](C)(C)C", "OCC[NH3+]", "[NH3+]O", "[NH3+]N"),
    *("C[OH2+]", "C=[OH+]", "CC=[OH+]", "OC=[OH+]", "CC(O)=[OH+]", "CC(N)=[OH+]", "CC(C)=[OH+]"),
    *("C[O+](C)C", "C=[NH2+]", "CC=[NH2+]", "C=[N+](C)C", "NC=[NH2+]", "CC(N)=[NH2+]", "CC#[NH+]"),
    *("c1cc[nH+]cc1", "C[n+]1ccccc1", "C[n+]1cc[nH]c1", "Nc1cc[nH+]cc1", "c1cc[nH+]nc1"),
    *("[NH3+]c1ccccc1", "C1CC[NH2+]C1", "C1COCC[NH2+]1", "C1C[NH2+]1", "[NH3+]CC(=O)O"),
    *("[NH3+]CC(N)=O", "[NH3+]CC#N", "C=CC[NH3+]", "[NH3+]C1CC1", "O=[N+]=O", "C=C[CH2+]"),
    *("[CH2+]c1ccccc1", "C[C+](C)C", "c1ccc[cH+]cc1", "CC#[O+]", "C[O+]=C", "CC[O-]", "CC(C)[O-]"),
    *("[O-]O", "CO[O-]", "O=C[O-]", "CCC(=O)[O-]", "C=CC(=O)[O-]", "OCC(=O)[O-]", "NCC(=O)[O-]"),
    *("O=CC(=O)[O-]", "O=C(O)C(=O)[O-]", "OC(=O)[O-]", "NC(=O)[O-]", "O=C([O-])c1ccccc1"),
    *("O=C([O-])c1ccco1", "[O-]C#N", "[N-]=[N+]=[N-]", "O=[N+]([O-])[O-]", "[NH2-]", "C[NH-]"),
    *("C#[C-]", "N#C[CH2-]", "N#C[N-]C#N", "N#C[CH-]C#N", "[NH-]C=O", "C[N-]C=O", "CC(=O)[NH-]"),
    *("C=C[O-]", "CC(=C)[O-]", "O=CC=C[O-]", "CC([O-])=CC=O", "C=[N+]([O-])[O-]"),
    *("CC=[N+]([O-])[O-]", "C=N[O-]", "CC(C)=N[O-]", "[O-]c1ccccc1", "[O-]c1ccccn1", "c1cc[n-]c1"),
    *("c1cn[n-]c1", "c1nc[n-]n1", "c1nn[n-]n1", "c1cc[cH-]c1", "CC(=O)O[O-]"),
)
"""SMILES of cations and anions with closed shells, without those of `structures/ions_radicals.xyz`,
which show how models err on ions."""
RADICALS = (
    *("C[CH]C", "C[C](C)C", "CC[CH2]", "C=[CH]", "[CH]1CC1", "C#[C]", "[CH2]c1ccccc1"),
    *("c1cc[c]cc1", "[CH2]O", "C[CH]O", "[CH2]OC", "[CH2]N", "C[CH]N", "[CH2]NC", "[CH2]C=O"),
    *("C[C]=O", "O=[C]O", "CO[C]=O", "N[C]=O", "[CH2]C#N", "C#C[CH2]", "C[CH]C#N"),
    *("[CH2]C(=O)O", "[CH2]C(N)=O", "C=C[CH]C", "C=[C]C", "CC=[CH]", "C=CC=C[CH2]"),
    *("[CH]1C=CC=C1", "[CH]1C=CCC1", "[CH2]C1CC1", "C[CH]C=O", "O[CH]C=O", "N[CH]C(=O)O"),
    *("[CH2]OO", "[CH2]N=O", "[CH2][N+](=O)[O-]", "[C]#N", "C1CC[CH]C1", "[CH]1CCO1"),
    *("[CH]1CCCO1", "[CH2]CO", "[CH2]CN", "[CH2]CC=O", "OC[CH]O", "C[NH]", "C[N]C", "CC[NH]"),
    *("N[NH]", "[NH]O", "CN[O]", "C=[N]", "CC=[N]", "[NH]C=O", "CC(=O)[NH]", "NC(=O)[NH]"),
    *("[N]=C=O", "[N]=[N+]=[N-]", "[N]1C=CC=C1", "[NH]c1ccccc1", "O=C[N]C", "CC[O]", "CC(C)[O]"),
    *("C=CC[O]", "CO[O]", "CCO[O]", "C=CO[O]", "CC(=O)O[O]", "O=CO[O]", "CC(C)O[O]", "OCO[O]"),
    *("N[O]", "CN(C)[O]", "C=N[O]", "[O]c1ccccc1", "O=C[O]", "CC(=O)[O]", "C1CCN([O])C1"),
    *("[O]C=CC=O", "N#C[O]", "CN([O])C=O", "[O]CCO", "O=C[CH]C=O", "O=O", "[CH2]", "[NH]"),
    *("C[CH]", "C[N]", "[CH2][O]", "[CH2][CH2]", "[CH2]C[CH2]", "[CH2]C=C[O]", "C=[C]"),
    *("O=C1[CH]O1", "[CH2]C=[N]", "[CH2]N[O]", "[NH3+]", "C[NH2+]", "[OH2+]", "[O-][O]"),
    *("[CH2+][CH2]", "C[OH+]", "C=[N+]=[N]"),
)
"""SMILES of radicals and triplets, without those of `structures/ions_radicals.xyz`."""
ABSTRACTING = (
    *("[H]", "[CH3]", "C[CH2]", "C=[CH]", "[OH]", "C[O]", "O[O]", "CO[O]", "[NH2]", "C[NH]"),
    *("C[C]=O", "[CH2]O", "[CH2]C=O", "C[CH]C", "N#[C]", "[O]C=C", "C#C[CH2]"),
)
"""Radicals that take a hydrogen or add to a double bond."""
ABSTRACTED = (
    *("C", "CC", "CCC", "C=C", "CC=C", "C#C", "C=O", "CC=O", "CO", "CCO", "COC", "CN", "N", "O"),
    *("OO", "CC#N", "OC=O", "NC=O", "C1CC1", "CC(C)C", "C=CC=C", "COO", "C=C=O", "CC(=O)O"),
    *("CNC", "C#N", "C=N", "N=C=O", "CC(C)=O", "NO", "NN", "C=CO", "C=C=C", "N=O", "C#CC"),
    "C=CC=O",
)
"""Molecules that they meet."""
CLEAVED = (
    *("CC", "CN", "CCC", "CCO", "COC", "CC=O", "CC#N", "CNC", "CC=C", "CC#C", "C1CC1", "COO"),
    *("NO", "CNO", "OC=O", "NC=O", "CON", "CNN", "CC(=O)O", "CC(N)=O", "CC(C)=O", "OCO"),
    *("OCC=O", "C=CO", "C=CN", "O=CC=O", "CON=O", "C[N+](=O)[O-]", "C1CO1", "C1CN1", "COOC"),
    *("CC(=O)OO", "NCC=O", "C=CC=C", "CC(C)C", "N#CC#N", "CN=O", "ON=O", "C=NO", "CC(C)O", "N"),
    *("C=C", "C#C", "C=O", "C#N", "CN=N", "N=N", "COC=O", "O=CO[N+](=O)[O-]"),
)
"""Molecules of which a bond is stretched, none of which dissociates in a test."""
